"""The names of functions outside the array that a machine description may price: `LoopNest.function` of every
nest that multiplies and accumulates nothing. Data only; a name missing here could be misspelt without notice.
"""

VECTOR_FUNCTIONS = frozenset(
    (
        # one input, element by element
        *("relu", "sigmoid", "tanh", "erf", "exp", "log", "sqrt", "neg", "abs", "reciprocal", "floor", "ceil", "round"),
        *("sign", "not", "softplus", "silu", "hard_swish", "sin", "cos", "selu", "mish", "softsign", "gelu_sigmoid"),
        *("leaky_relu", "hard_sigmoid", "elu", "clip", "cast", "gelu", "prelu"),
        # two or three inputs
        *("add", "sub", "mul", "div", "pow", "max", "min", "mod", "where", "and", "or", "xor"),
        *("equal", "less", "greater", "less_equal", "greater_equal"),
        # normalisation
        *("batch_norm", "layer_norm", "rms_norm", "instance_norm", "group_norm", "softmax", "log_softmax", "lrn"),
        *("l2_norm", "lp_norm"),
        # pooling and reduction
        *("max_pool", "average_pool", "global_pool", "reduce", "arg_reduce", "cumsum"),
        # movement
        *("transpose", "concat", "split", "slice", "gather", "gather_elements", "gather_nd", "scatter_nd", "pad"),
        *("expand", "tile", "resize", "depth_to_space", "space_to_depth", "trilu", "one_hot"),
        # quantisation, and what a skipped operator becomes
        *("quantise", "dequantise", "bipolar_quantise", "truncate", "host"),
    )
)
