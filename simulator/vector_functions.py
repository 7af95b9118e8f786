"""The names of functions outside the array that a machine description may price: `LoopNest.function` of every
nest that multiplies and accumulates nothing. Data only; a name missing here could be misspelt without notice.
"""

from model_ir.ops.functions import BINARY, UNARY

_OTHERS = (
    *("leaky_relu", "hard_sigmoid", "elu", "prelu", "clip", "cast", "gelu", "where"),
    *("batch_norm", "layer_norm", "rms_norm", "instance_norm", "group_norm", "softmax", "log_softmax", "lrn"),
    *("lp_normalization", "max_pool", "average_pool", "reduce", "arg_reduce", "cum_sum", "einsum"),
    *("transpose", "concat", "split", "slice", "gather", "scatter", "pad"),
    *("expand", "tile", "resize", "depth_to_space", "space_to_depth", "trilu"),
    *("quantise", "dequantise", "host"),
)

VECTOR_FUNCTIONS = frozenset(UNARY) | frozenset(BINARY) | frozenset(_OTHERS)
