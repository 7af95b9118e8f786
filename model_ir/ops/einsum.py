"""Reading an Einstein summation: which labels each operand and the output carry, their sizes, and the role of each as a
loop."""

from __future__ import annotations

from collections.abc import Sequence

from model_ir.op import Op
from model_ir.ops.checks import refusal
from model_ir.tensor import Tensor

ELLIPSIS_LABELS = "0123456789"
"""Labels that stand for the axes under an ellipsis, the last one innermost."""

Terms = tuple[str, ...]


def bind(op: Op, equation: str, tensors: Sequence[Tensor]) -> tuple[Terms, str, dict[str, int]]:
    """Labels of every operand, labels of the output, and the size of every label; InputError if they do not fit."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        raise refusal(op, f"equation {equation!r} has another number of operands", value=len(terms), limit=len(tensors))
    widths = [_ellipsis_width(op, term, tensor) for term, tensor in zip(terms, tensors, strict=True)]
    widest = max(widths)
    labels = tuple(_expand(term, width) for term, width in zip(terms, widths, strict=True))
    sizes: dict[str, int] = {}
    for term, tensor in zip(labels, tensors, strict=True):
        for label, size in zip(term, tensor.shape, strict=True):
            known = sizes.get(label, 1)
            if 1 not in (known, size) and known != size:
                raise refusal(op, f"label {label!r} of {equation!r} has two sizes", value=f"{known} and {size}")
            sizes[label] = max(known, size)
    result = _expand(right, widest) if arrow else _implicit_output(labels, widest)
    if len(set(result)) != len(result) or set(result) - set(sizes):
        raise refusal(op, f"output labels of {equation!r} are repeated or unknown", value=result)
    return labels, result, sizes


def _ellipsis_width(op: Op, term: str, tensor: Tensor) -> int:
    named = term.replace("...", "", 1)
    width = len(tensor.shape) - len(named)
    letters = all(letter.isalpha() for letter in named)
    if not letters or width < 0 or (width and named == term) or width > len(ELLIPSIS_LABELS):
        raise refusal(op, f"term {term!r} does not fit {tensor.name!r}", value=tensor.shape)
    return width


def _expand(term: str, width: int) -> str:
    return term.replace("...", ELLIPSIS_LABELS[len(ELLIPSIS_LABELS) - width :], 1)


def _implicit_output(terms: Terms, width: int) -> str:
    joined = "".join(terms)
    once = sorted(label for label in set(joined) if label.isalpha() and joined.count(label) == 1)
    return ELLIPSIS_LABELS[len(ELLIPSIS_LABELS) - width :] + "".join(once)


def loop_names(terms: Terms, result: str) -> dict[str, str]:
    """Name of the loop of every label by its role between the first two operands and the output: b0, b1, ... in all
    three, i first and output only, j second and output only, k not in the output; i0, i1, ... where a role has several
    labels."""
    first, second = terms[0], "".join(terms[1:])
    roles: dict[str, list[str]] = {"b": [], "i": [], "j": [], "k": []}
    for label in dict.fromkeys("".join(terms)):
        if label not in result:
            roles["k"].append(label)
        elif label in first and label in second:
            roles["b"].append(label)
        else:
            roles["i" if label in first else "j"].append(label)
    return {
        label: role if role != "b" and len(labels) == 1 else f"{role}{position}"
        for role, labels in roles.items()
        for position, label in enumerate(labels)
    }


def loop_order(names: dict[str, str]) -> list[str]:
    """Labels, batch loops first, then i, j, k."""
    return sorted(names, key=lambda label: ("bijk".index(names[label][0]), names[label]))
