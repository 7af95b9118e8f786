"""What steps are made of: one operator and how many of it, and the few shapes that all of them have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from simulator.generation.precision import Precision
from simulator.rooflines.counting import Counting
from simulator.rooflines.formats import Number
from simulator.rooflines.work import Work, elementwise_work, matmul_work

Kind = Literal["projections", "attention", "recomputation", "feed-forward", "logits", "element-wise", "encoder"]
KINDS: tuple[Kind, ...] = (
    "projections",
    "attention",
    "recomputation",
    "feed-forward",
    "logits",
    "element-wise",
    "encoder",
)
# Operations an element, as the operators of model_ir count themselves (model_ir/ops).
FLOPS = {
    "rms_norm": 4,
    "layer_norm": 7,
    "silu": 5,
    "gelu": 9,
    "relu": 1,
    "softmax": 5,
    "add": 1,
    "rotary": 3,
    "gather": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepOperator:
    """`count` operators of `work` each. Of each, `weight_bytes` are parameters, `cache_read_bytes` and
    `cache_write_bytes` go from and to what is kept of earlier tokens; all of them are part of `work`."""

    name: str
    kind: Kind
    count: Number
    work: Work
    weight_bytes: Number = 0
    cache_read_bytes: Number = 0
    cache_write_bytes: Number = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Makes operators in one precision, counted by one convention."""

    precision: Precision
    counting: Counting

    def linear(
        self,
        name: str,
        kind: Kind,
        *,
        count: Number,
        rows: Number,
        depth: int,
        columns: int,
        biases: int = 0,
        table: bool = False,
        result_bits: Number | None = None,
        first_bits: Number | None = None,
        repeats: Number = 1,
    ) -> Iterator[StepOperator]:
        """Rows times a matrix of parameters (`biases` of its columns with a bias), `repeats` matrices; where weights
        have outliers, their sparse part besides, on the vector unit. `table`: the output projection, of table bits."""
        bits: Number = self.precision.table_bits if table else self.precision.stored_weight_bits
        activation = self.precision.activation_bits
        work = matmul_work(
            rows=rows,
            columns=columns,
            depth=depth,
            repeats=repeats,
            first_bits=activation if first_bits is None else first_bits,
            second_bits=bits,
            result_bits=activation if result_bits is None else result_bits,
            bias_bits=activation if biases else None,
            bias_elements=biases * repeats,
            counting=self.counting,
        )
        parameters = work.second_bytes + work.other_bytes
        yield StepOperator(name=name, kind=kind, count=count, work=work, weight_bytes=parameters)
        if self.precision.outlier_share and not table:
            yield self._outliers(name, kind, count, rows, repeats, depth * columns)

    def elementwise(
        self,
        name: str,
        function: str,
        *,
        count: Number,
        elements: Number,
        reads: float = 1,
        writes: float = 1,
        vectors: int = 0,
        row: int = 0,
        flops: float | None = None,
        kind: Kind = "element-wise",
    ) -> StepOperator:
        """`function` of elements, each read `reads` and written `writes` times; `vectors` numbers that all rows share;
        `row` elements that are normalised together."""
        each = self.precision.activation_bits / 8
        work = elementwise_work(
            function,
            elements=elements,
            flops_per_element=FLOPS[function] if flops is None else flops,
            read_bytes=elements * reads * each,
            result_bytes=elements * writes * each,
            vector_bytes=vectors * each,
            row_bytes=row * each,
            counting=self.counting,
        )
        return StepOperator(name=name, kind=kind, count=count, work=work, weight_bytes=work.other_bytes)

    def _outliers(
        self, name: str, kind: Kind, count: Number, rows: Number, repeats: Number, weights: int
    ) -> StepOperator:
        # A multiplication and an addition for every row and outlier (SqueezeLLM, arXiv 2306.07629, section 4.3: a
        # sparse kernel beside the dense one); inputs and sums are those of the dense part and stay where they are.
        outliers = weights * self.precision.outlier_share
        size = outliers * self.precision.stored_outlier_bits / 8 * repeats
        work = elementwise_work(
            "sparse",
            elements=rows * outliers * repeats,
            flops_per_element=2,
            read_bytes=size,
            result_bytes=0,
            counting=self.counting,
        )
        return StepOperator(name=f"{name}, outliers", kind=kind, count=count, work=work, weight_bytes=size)
