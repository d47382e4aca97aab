# SPDX-License-Identifier: Apache-2.0
"""Runs Presidio's analyser over documents, for comparison with Glovebox's detector.

    python3 -m venv V && V/bin/pip install --require-hashes -r requirements.txt
    V/bin/python presidio.py [--all] [--types A,B] [--threshold 0.4] < documents.jsonl > findings.jsonl
    V/bin/python presidio.py --speed [--types A,B] < documents.jsonl

A document is a line {"doc": …, "text": "…"}; a finding is a line {"doc", "type", "start", "end", "score", "text_sha256"} with offsets
in code points, as `glovebox creator scan --json` writes it. The last line has no "doc": it says what ran, on how many bytes, in how much
time of the processor, and the megabytes a second ("mbs").

Presidio finds names and places with a spaCy model. Where en_core_web_lg or en_core_web_sm is installed it is used. They are not on
PyPI: without one a blank English tokeniser stands in, so that context words still count, and there are no names and places.
"""

import argparse
import hashlib
import json
import logging
import sys
import time

import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, PatternRecognizer, RecognizerRegistry
from presidio_analyzer import predefined_recognizers
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import SpacyRecognizer

MODELS = ("en_core_web_lg", "en_core_web_sm")


class BlankNlpEngine(SpacyNlpEngine):
    """spaCy's English tokeniser alone: lemmas are the words themselves, in lower case."""

    def load(self):
        nlp = spacy.blank("en")
        nlp.add_pipe("lower")
        self.nlp = {"en": nlp}


@spacy.Language.component("lower")
def lower(doc):
    for token in doc:
        token.lemma_ = token.text.lower()
    return doc


def engine():
    for model in MODELS:
        if spacy.util.is_package(model):
            nlp = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": model}])
            nlp.load()
            return nlp, model
    nlp = BlankNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    nlp.load()
    return nlp, None


def registry(nlp, model, every):
    """Presidio's default recognisers of English; with every, also those that its configuration leaves off."""
    found = RecognizerRegistry(supported_languages=["en"])
    found.load_predefined_recognizers(languages=["en"], nlp_engine=nlp)
    if every:
        have = {type(r) for r in found.recognizers}
        for name in sorted(dir(predefined_recognizers)):
            kind = getattr(predefined_recognizers, name)
            if isinstance(kind, type) and issubclass(kind, PatternRecognizer) and kind is not PatternRecognizer and kind not in have:
                try:
                    found.add_recognizer(kind(supported_language="en"))
                except Exception as err:  # one that needs a service or a model
                    print(f"presidio.py: without {name}: {err}", file=sys.stderr)
    if model is None:
        found.recognizers = [r for r in found.recognizers if not isinstance(r, SpacyRecognizer)]
    return found


def write(value):
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def analyse(analyser, documents, types, threshold):
    """Findings of each document, the bytes of all, and the seconds that it took."""
    found, size, start = [], 0, time.process_time()
    for _, text in documents:
        found.append(analyser.analyze(text=text, language="en", entities=types, score_threshold=threshold))
        size += len(text.encode())
    return found, size, time.process_time() - start


def part(documents, limit):
    out, size = [], 0
    for d in documents:
        if size >= limit:
            break
        out.append(d)
        size += len(d[1].encode())
    return out


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--version", action="store_true", help="say what would run, and end")
    flags.add_argument("--all", action="store_true", help="all pattern recognisers, also those that the default configuration leaves off")
    flags.add_argument("--types", default="", help="only these types, with commas between")
    flags.add_argument("--threshold", type=float, default=0.4, help="least score; Presidio's own evaluation takes 0.4")
    flags.add_argument("--speed", action="store_true", help="measure, on the first --speed-bytes, and write no findings")
    flags.add_argument("--speed-bytes", type=int, default=64 << 10)
    args = flags.parse_args()
    logging.disable(logging.ERROR)
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())  # its own snapshot: no network

    nlp, model = engine()
    if args.version:
        print(version("presidio-analyzer"), model or "without a model")
        return
    analyser = AnalyzerEngine(registry=registry(nlp, model, args.all), nlp_engine=nlp, supported_languages=["en"])
    have = {t for r in analyser.registry.recognizers for t in r.supported_entities}
    types = None
    if args.types:
        types = [t for t in args.types.split(",") if t in have]
    documents = [(d["doc"], d["text"]) for d in map(json.loads, sys.stdin)]
    analyser.analyze(text="warm up", language="en")

    summary = {"tool": "presidio-analyzer", "version": version("presidio-analyzer"), "model": model or "", "types": sorted(have), "mbs": 0}
    if types == []:
        write(summary)  # it does not have them
        return
    if args.speed:
        runs = [analyse(analyser, part(documents, args.speed_bytes), types, args.threshold)[1:] for _ in range(2)]
        size, seconds = min(runs, key=lambda r: r[1])
    else:
        found, size, seconds = analyse(analyser, documents, types, args.threshold)
        for (doc, text), results in zip(documents, found):
            for f in sorted(results, key=lambda f: (f.start, f.end, f.entity_type)):
                digest = hashlib.sha256(text[f.start : f.end].encode()).hexdigest()
                write({"doc": doc, "type": f.entity_type, "start": f.start, "end": f.end, "score": round(f.score, 3), "text_sha256": digest})
    summary.update(bytes=size, seconds=seconds, mbs=size / 1e6 / max(seconds, 1e-9))
    write(summary)


def version(package):
    from importlib.metadata import version as of

    return of(package)


if __name__ == "__main__":
    main()
