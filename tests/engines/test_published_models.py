"""Presets of judges from the hub, on models of random weights that have their architectures and chat templates.

The real ones are too large for a test; what is held here is the way from a sample to the labels' probabilities.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import mini_gguf

from mene.criterion import load_criterion
from mene.judge.judge import Judge
from mene.judge.preset import load_preset
from mene.sample import Sample
from mene.weights.source import Weights

FOLDER = Path(__file__).parents[1] / "published"
SAMPLE = Sample(
    instruction="What is the capital of Australia, and since when?",
    response="Sydney, since 1901.",
    response_a="Sydney.",
    response_b="Canberra, founded in 1913.",
)
SCORES = {str(n): f"Description of score {n}." for n in range(1, 6)}

# The models' chat templates, as far as one turn of a user goes, and what they put around it.
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}{{ '<|assistant|>\n' }}",
    "<|user|>\n",
    "<|end|>\n<|assistant|>\n",
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
    "{% elif m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %}{{ m.content }}</s>{% endif %}{% endfor %}",
    "<s>[INST] ",
    " [/INST]",
)
QWEN = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are Qwen.<|im_end|>\n{% endif %}{% for m in messages %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\n' }}",
    "<|im_start|>system\nYou are Qwen.<|im_end|>\n<|im_start|>user\n",
    "<|im_end|>\n<|im_start|>assistant\n",
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}<|eot_id|>{% endfor %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}",
    "<s><|start_header_id|>user<|end_header_id|>\n\n",
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
)
# Preset, architecture in Transformers and in GGUF, chat template, scale and the file with the prompt.
MODELS = [
    ("glider-hf", "Phi3", "phi3", PHI, "1-5", "glider-absolute"),
    ("flow-judge-hf", "Phi3", "phi3", PHI, "1-5", "flow-judge-absolute"),
    ("prometheus-2-hf", "Mistral", "llama", MISTRAL, "1-5", "prometheus-2-absolute"),
    ("m-prometheus-3b", "Qwen2", "qwen2", QWEN, "a/b", "m-prometheus-pairs"),
    ("compass-judger-2-7b", "Qwen2", "qwen2", QWEN, "a/b", "compass-judger-2-pairs"),
    ("selene-mini-hf", "Llama", "llama", LLAMA, "1-5", "selene-mini-absolute"),
]


def asked(scale: str, file: str) -> tuple[Any, Sample]:
    criterion = load_criterion("Is the answer right?", scale)
    if scale == "1-5":
        criterion = criterion.model_copy(update={"labels": SCORES})
    context = "Canberra has been the capital of Australia since 1913." if "flow" in file else None
    return criterion, SAMPLE.model_copy(update={"context": context})


def save(folder: Path, kind: str, chat: str) -> Path:
    """A model of random weights with a tokeniser: SentencePiece's way for Phi-3 and Mistral, else bytes."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|end|>",
               "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<unk>"]  # fmt: skip
    spaced = kind in ("Phi3", "Mistral")
    letters = [*map(chr, range(33, 127)), "\n", "▁", "’"]
    letters = letters if spaced else sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    if spaced:
        raw.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    else:
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
    texts = [path.read_text("utf-8") for path in sorted(FOLDER.glob("*-absolute.txt"))]
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=special, initial_alphabet=letters, show_progress=False
    )
    raw.train_from_iterator((word for text in texts for word in text.split(" ")), trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=special[2:-1], chat_template=chat,
    )  # fmt: skip
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=8192, initializer_range=0.3, pad_token_id=1,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def judge_of(preset: str, weights: Path, engine: str, **options: Any) -> Judge:
    changes = {"weights": Weights(path=str(weights)), "engine": engine, "dtype": None}
    return Judge(load_preset(preset).model_copy(update=changes), **options)


@pytest.mark.parametrize(("preset", "kind", "arch", "chat", "scale", "file"), MODELS)
def test_transformers(
    preset: str, kind: str, arch: str, chat: tuple[str, str, str], scale: str, file: str, tmp_path: Path
) -> None:  # fmt: skip
    torch = pytest.importorskip("torch")
    criterion, sample = asked(scale, file)
    folder = save(tmp_path, kind, chat[0])
    with judge_of(preset, folder, "transformers", mode="verdict") as judge:
        text, _ = judge.prompt(sample, criterion)
        assert text == chat[1] + (FOLDER / f"{file}.txt").read_text("utf-8") + chat[2]
        [verdict] = judge.judge([sample], criterion)
        assert verdict.error is None
        assert verdict.probabilities is not None
        # The same from a plain pass over prompt, cue and joint: the label is what comes next.
        model: Any = judge.engine._model  # type: ignore[attr-defined]
        template = judge.template
        ids = model.ids(text)
        written = template.written(criterion.scale)
        whole = [model.tokenize(template.cue + template.joint + label) for label in written]
        own = next(i for i, step in enumerate(zip(*whole, strict=False)) if len(set(step)) > 1)
        with torch.no_grad():
            logits = model.model(torch.tensor([[*ids, *whole[0][:own]]])).logits[0, -1].float()
        wanted = torch.softmax(logits[[tokens[own] for tokens in whole]], 0).tolist()
        assert list(verdict.probabilities) == list(criterion.scale.labels)
        assert list(verdict.probabilities.values()) == pytest.approx(wanted, abs=1e-4)
        judge = judge.using(mode="critique", critique_tokens=3)
        [critical] = judge.judge([sample], criterion)
        assert critical.error is None
        assert critical.label in criterion.scale.labels
        assert critical.critique is not None


@pytest.mark.parametrize(
    ("preset", "kind", "arch", "chat", "scale", "file"), [MODELS[0], MODELS[2], MODELS[4]]
)
def test_gguf(
    preset: str, kind: str, arch: str, chat: tuple[str, str, str], scale: str, file: str, tmp_path: Path
) -> None:  # fmt: skip
    """llama.cpp loads the architecture, and reads prompt, labels and critique."""
    pytest.importorskip("xllamacpp")
    criterion, sample = asked(scale, file)
    changes = {f"{arch}.context_length": 8192, "tokenizer.chat_template": chat[0].replace("{{ bos_token }}", "")}  # fmt: skip
    path = mini_gguf(tmp_path / "model.gguf", arch, **changes)
    with judge_of(preset, path, "llamacpp", mode="critique", critique_tokens=6) as judge:
        text, _ = judge.prompt(sample, criterion)
        bounds = chat[1].replace("<s>", ""), chat[2] + judge.template.opening
        assert text == bounds[0] + (FOLDER / f"{file}.txt").read_text("utf-8") + bounds[1]
        [critical] = judge.judge([sample], criterion)
        assert critical.error is None
        assert critical.critique is not None
        judge = judge.using(mode="verdict")
        [verdict] = judge.judge([sample], criterion)
        assert verdict.probabilities is not None
        assert sum(verdict.probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert set(verdict.probabilities) == set(criterion.scale.labels)
