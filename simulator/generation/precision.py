"""In how many bits each tensor of a language model is kept, written as "w4g128a16kv8".

    w4        matrices of 4 bits; g128: every 128 of them share a scale of 16 bits and a zero point of 4
    s0.0045   0.45 % of the weights are kept apart as outliers of 16 bits with a column number of 32 (dense-and-sparse)
    a16       activations of 16 bits: the format that is computed in; also of the embedding and the output projection
    kv8       keys and values of 8 bits; g64: every 64 of them share a scale and a zero point

Group sizes and zero points as GPTQ and AWQ files keep them (arXiv 2210.17323, 2306.00978); dense-and-sparse is
SqueezeLLM's (arXiv 2306.07629, section 4.2: the outliers in compressed sparse rows).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from model_ir.errors import InputError
from simulator.rooflines.formats import FORMAT_BITS
from simulator.rooflines.machine import Machine

SCALE_BITS = 16
OUTLIER_VALUE_BITS = 16
OUTLIER_INDEX_BITS = 32
MAX_BITS = 64
MAX_GROUP = 1 << 20
_GRAMMAR = re.compile(r"w(\d+)(?:g(\d+))?(?:s(0?\.\d+|0))?a(\d+)(?:kv(\d+)(?:g(\d+))?)?")
# Formats that a width is computed in, the first that a machine has.
_FORMATS = {
    4: ("int4", "fp4"),
    8: ("int8", "fp8"),
    16: ("bf16", "fp16", "int16"),
    32: ("fp32", "tf32", "int32"),
    64: ("fp64",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Bits of a number by what it is; `outlier_share` of the weights are outliers. Groups of 0 have no scales."""

    text: str
    weight_bits: int
    activation_bits: int
    cache_bits: int
    weight_group: int = 0
    cache_group: int = 0
    outlier_share: float = 0.0

    @property
    def stored_weight_bits(self) -> float:
        """Of a weight in memory with its share of scales, without outliers."""
        return _with_scales(self.weight_bits, self.weight_group)

    @property
    def stored_outlier_bits(self) -> float:
        """Of an outlier in memory."""
        return OUTLIER_VALUE_BITS + OUTLIER_INDEX_BITS

    @property
    def mean_weight_bits(self) -> float:
        """Of a weight in memory, outliers spread over all."""
        return self.stored_weight_bits + self.outlier_share * self.stored_outlier_bits

    @property
    def stored_cache_bits(self) -> float:
        """Of a cached number with its share of scales."""
        return _with_scales(self.cache_bits, self.cache_group)

    @property
    def table_bits(self) -> int:
        """Of a number of the embedding and the output projection, which weight-only schemes leave alone."""
        return self.activation_bits

    @property
    def weight_only(self) -> bool:
        """Whether weights are narrower than what is computed in."""
        return self.weight_bits < self.activation_bits


def parse_precision(text: str) -> Precision:
    """The precision that `text` says (see the top of this file); keys and values are as wide as activations unless it
    says otherwise. Raises InputError for anything else."""
    found = _GRAMMAR.fullmatch(text)
    if not found:
        raise InputError(
            "precision",
            "not understood",
            value=repr(text)[:60],
            limit="w<bits>[g<group>][s<share>]a<bits>[kv<bits>[g<group>]]",
        )
    weight, weight_group, share, activation, cache, cache_group = found.groups()
    precision = Precision(
        text=text,
        weight_bits=int(weight),
        activation_bits=int(activation),
        cache_bits=int(cache or activation),
        weight_group=int(weight_group or 0),
        cache_group=int(cache_group or 0),
        outlier_share=float(share or 0),
    )
    for name in ("weight_bits", "activation_bits", "cache_bits"):
        if not 1 <= getattr(precision, name) <= MAX_BITS:
            raise InputError(
                f"precision {text}: {name}", "out of range", value=getattr(precision, name), limit=f"1 to {MAX_BITS}"
            )
    for name, given in (("weight_group", weight_group), ("cache_group", cache_group)):
        if given is not None and not 1 <= int(given) <= MAX_GROUP:
            raise InputError(f"precision {text}: {name}", "out of range", value=given, limit=f"1 to {MAX_GROUP}")
    if precision.activation_bits not in _FORMATS:
        raise InputError(
            f"precision {text}: activation_bits",
            "no machine computes in this width",
            value=activation,
            limit=", ".join(map(str, _FORMATS)),
        )
    return precision


def computed_in(precision: Precision, machine: Machine) -> str:
    """The number format that `machine` computes in: one as wide as the activations, into which narrower weights and
    cache entries are expanded; the next wider one where it has none. Wider weights are not narrowed.

    Raises InputError where the machine has no format that wide.
    """
    least = max(precision.activation_bits, precision.weight_bits)
    for width, names in _FORMATS.items():
        if width >= least:
            for name in names:
                if name in machine.formats:
                    return name
    raise InputError(
        f"{machine.name}: precision {precision.text}",
        "no format of this machine is wide enough",
        value=f"{least} bits",
        limit=", ".join(f"{name} ({FORMAT_BITS[name]} bits)" for name in machine.formats),
    )


def _with_scales(bits: int, group: int) -> float:
    return bits + (SCALE_BITS + bits) / group if group else float(bits)
