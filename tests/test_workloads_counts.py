"""Parameters and multiply-accumulates of the catalogue: published numbers, and closed forms derived here."""

from dataclasses import replace

import pytest

from model_ir.graph import Graph
from workloads import bert, conformer, gpt2, llama, llama_sizes, squeezeformer, vit
from workloads.catalogue import build
from workloads.layers import learned_parameters

# Parameters as printed: torchvision's model pages (`num_params`: batch-norm statistics are buffers and not counted),
# the checkpoints' model cards for language models, arXiv 2304.06745 for the jet tagger; vit-s16 from timm's results
# table.
PARAMETERS = {
    "bert-base": 109_482_240,
    "bert-large": 335_141_888,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-3-8b": 8_030_261_248,
    "tinyllama-1.1b": 1_100_048_384,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "vit-s16": 22_050_664,
    "vit-b16": 86_567_656,
    "vit-l16": 304_326_632,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "mobilenet-v2": 3_504_872,
    "mnasnet-b1": 4_383_312,
    "jet-tagger": 4_389,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_learned_parameters_are_the_published_number(name: str) -> None:
    assert learned_parameters(build(name)) == PARAMETERS[name]


# MMAC at 224 pixels as printed on torchvision's model pages (they call it GFLOPS), and the 4256 of arXiv 2304.06745.
@pytest.mark.parametrize(
    ("name", "mega_macs"),
    [
        ("resnet18", 1814),
        ("resnet34", 3664),
        ("resnet50", 4089),
        ("mobilenet-v2", 301),
        ("mnasnet-b1", 314),
        ("vit-b16", 17564),
        ("vit-l16", 61555),
    ],
)
def test_image_networks_have_the_published_macs(name: str, mega_macs: int) -> None:
    assert round(build(name).macs / 1e6) == mega_macs


def test_the_jet_tagger_has_4256_macs() -> None:
    assert build("jet-tagger").macs == 4256
    assert build("jet-tagger", batch=1024).macs == 1024 * 4256


def encoder_macs(layers: int, tokens: int, keys: int, features: int, hidden: int) -> int:
    """Four projections, two feed-forward products, scores and their product with the values."""
    return layers * (4 * tokens * features**2 + 2 * tokens * features * hidden + 2 * tokens * keys * features)


@pytest.mark.parametrize("tokens", [1, 128, 512])
@pytest.mark.parametrize("config", [bert.BERT_BASE, bert.BERT_LARGE], ids=lambda config: config.name)
def test_bert_macs_follow_the_closed_form(config: bert.BertConfig, tokens: int) -> None:
    expected = encoder_macs(config.layers, tokens, tokens, config.features, config.hidden)
    assert bert.build(replace(config, pooler=False), seq=tokens).macs == expected
    assert bert.build(config, seq=tokens, batch=3).macs == 3 * (expected + config.features**2)


# "Full Stack Optimization of Transformer Inference", arXiv 2302.14017, table 3 (BERT-Base, GFLOP): the three
# matrix-product columns and the total.
@pytest.mark.parametrize(
    ("tokens", "products", "total"),
    [(128, 7.25 + 0.60 + 14.50, 22.42), (512, 28.99 + 9.62 + 57.98, 97.02)],
)
def test_bert_base_flops_are_those_of_the_survey(tokens: int, products: float, total: float) -> None:
    graph = bert.build(replace(bert.BERT_BASE, pooler=False), seq=tokens)
    assert 2 * graph.macs / 1e9 == pytest.approx(products, rel=0.005)
    assert sum(graph.nest_of(op).flops for op in graph.ops) / 1e9 == pytest.approx(total, rel=0.005)


@pytest.mark.parametrize(
    ("phase", "tokens", "context"), [("prefill", 100, 0), ("prefill", 1024, 0), ("decode", 1, 700), ("decode", 5, 20)]
)
def test_gpt2_macs_follow_the_closed_form(phase: str, tokens: int, context: int) -> None:
    config = gpt2.GPT2_MEDIUM
    graph = gpt2.build(config, seq=tokens, context=context or None, phase=phase)
    # The whole score matrix is computed; the mask hides half of it afterwards.
    layers = encoder_macs(config.layers, tokens, context + tokens, config.features, config.hidden)
    assert graph.macs == layers + tokens * config.features * config.vocabulary


@pytest.mark.parametrize(("phase", "tokens", "context"), [("prefill", 64, 0), ("decode", 1, 8191), ("decode", 4, 100)])
def test_llama_macs_follow_the_closed_form(phase: str, tokens: int, context: int) -> None:
    config = llama_sizes.LLAMA_3_8B
    graph = llama.build(config, seq=tokens, context=context or None, phase=phase, batch=2)
    d, narrow = config.features, config.features * config.key_heads // config.heads
    projections = tokens * d * (2 * d + 2 * narrow)
    scores = 2 * tokens * (context + tokens) * d
    layer = projections + scores + 3 * tokens * d * config.hidden
    assert graph.macs == 2 * (config.layers * layer + tokens * d * config.vocabulary)


@pytest.mark.parametrize("image", [16, 224, 384])
def test_vit_macs_follow_the_closed_form(image: int) -> None:
    config = vit.VIT_S16
    patches = (image // config.patch) ** 2
    layers = encoder_macs(config.layers, patches + 1, patches + 1, config.features, config.hidden)
    patching = patches * config.features * 3 * config.patch**2
    assert vit.build(config, image=image).macs == patching + layers + config.features * config.classes


def relative_attention_macs(steps: int, d: int) -> int:
    """Projections, projected distances, scores by content and by distance, product with the values."""
    distances = 2 * steps - 1
    return 4 * steps * d**2 + distances * d**2 + steps * steps * d + steps * distances * d + steps * steps * d


@pytest.mark.parametrize("frames", [1000, 999])
def test_conformer_macs_follow_the_closed_form(frames: int) -> None:
    config = conformer.CONFORMER_M
    d, steps = config.features, frames // 2 // 2
    subsampling = frames // 2 * 40 * 9 * d + steps * 20 * 9 * d * d + steps * 20 * d * d
    convolution = 3 * steps * d**2 + steps * config.kernel * d
    layer = relative_attention_macs(steps, d) + 16 * steps * d**2 + convolution
    assert (
        conformer.build(config, seq=frames).macs == subsampling + config.layers * layer + steps * d * config.vocabulary
    )


@pytest.mark.parametrize("frames", [1000, 1002, 1005])
def test_squeezeformer_macs_follow_the_closed_form(frames: int) -> None:
    config = squeezeformer.SQUEEZEFORMER_SM
    d, steps = config.features, frames // 2 // 2

    def layer(count: int) -> int:
        convolution = 4 * count * d**2 + count * config.kernel * 2 * d
        return relative_attention_macs(count, d) + 16 * count * d**2 + convolution

    reduced = config.recover_before - config.reduce_before
    subsampling = frames // 2 * 40 * 9 * d + steps * 20 * (9 * d + d * d) + steps * 20 * d * d
    u_net = steps // 2 * (5 * d + d * d) + steps * d * d
    layers = (config.layers - reduced) * layer(steps) + reduced * layer((steps + 1) // 2)
    assert squeezeformer.build(config, seq=frames).macs == subsampling + layers + u_net + steps * d * config.vocabulary


# Millions of parameters, and GFLOP of the encoder for 30 s of speech as measured with a profiler: arXiv 2310.11230,
# table 2 (the parameters are those of the Squeezeformer paper, arXiv 2206.00888). These parameters include the
# running statistics of batch normalisation, as the count of the authors' framework does, and the head over 128 word
# pieces.
SQUEEZEFORMERS = [
    ("xs", 9.0, 18.2),
    ("s", 18.6, 33.7),
    ("sm", 28.2, 47.6),
    ("m", 55.6, 88.4),
    ("ml", 125.1, 183.3),
    ("l", 236.3, 333.7),
]


@pytest.mark.parametrize(("size", "millions", "giga_flops"), SQUEEZEFORMERS)
def test_squeezeformers_have_the_published_size_and_work(size: str, millions: float, giga_flops: float) -> None:
    graph = build(f"squeezeformer-{size}", seq=3000)
    assert round((graph.parameter_count - definition_constants(graph)) / 1e6, 1) == millions
    assert sum(graph.nest_of(op).flops for op in graph.ops) / 1e9 == pytest.approx(giga_flops, rel=0.01)


# Conformer-CTC as Kim et al. rebuilt it, with kernels of 31 steps and 18 layers for L (arXiv 2206.00888, table 3),
# counted like the above.
@pytest.mark.parametrize(
    ("config", "layers", "millions"),
    [(conformer.CONFORMER_S, 16, 8.7), (conformer.CONFORMER_M, 16, 27.4), (conformer.CONFORMER_L, 18, 121.5)],
    ids=["s", "m", "l"],
)
def test_conformer_ctc_sizes_are_the_published_ones(
    config: conformer.ConformerConfig, layers: int, millions: float
) -> None:
    graph = conformer.build(replace(config, layers=layers, kernel=31), seq=100)
    assert round((graph.parameter_count - definition_constants(graph)) / 1e6, 1) == millions


# Millions, arXiv 2005.08100, table 1: encoder and transducer. The transducer is a one-layer LSTM of `decoder` units
# with an embedding of and a joint network over 1024 word pieces; the paper does not print the widths of the last two,
# so the LSTM alone is the least and all three at the LSTM's width the most that the difference to the encoder can be.
@pytest.mark.parametrize(
    ("config", "decoder", "millions"),
    [(conformer.CONFORMER_S, 320, 10.3), (conformer.CONFORMER_M, 640, 30.7), (conformer.CONFORMER_L, 640, 118.8)],
    ids=["s", "m", "l"],
)
def test_conformer_encoders_leave_room_for_the_published_transducer(
    config: conformer.ConformerConfig, decoder: int, millions: float
) -> None:
    head = config.features * config.vocabulary + config.vocabulary
    encoder = learned_parameters(conformer.build(config, seq=100)) - head
    lstm = 4 * decoder * (2 * decoder + 2)
    joint = (config.features + decoder) * decoder + 1024 * decoder + 1024
    rounding = 0.05e6
    assert lstm - rounding <= millions * 1e6 - encoder <= lstm + 1024 * decoder + joint + rounding


def definition_constants(graph: Graph) -> int:
    return sum(graph.tensors[name].elements for name in graph.constants)
