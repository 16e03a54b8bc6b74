"""Conditional runs: how well a classifier that learns from generated pictures names what real ones were drawn under."""

import math

import torch
from torch import Tensor

from wassergan.evaluation.evaluate import LEAST, MetricRow
from wassergan.evaluation.pictures.convnet import in_chunks, trained_classifier
from wassergan.evaluation.pictures.populations import PicturePopulations

STEPS = 400
MOST_CLASSES = 256
NAME = "label_accuracy"


def classes_of(populations: PicturePopulations) -> tuple[Tensor, Tensor, Tensor] | None:
    """Numbers of the conditions of generated, training and held-out pictures; -1 where training has no such one.

    None where pictures have no conditions, all the same, or as many that they are no classes.
    """
    generated, training, heldout = populations.contexts
    if generated is None or training is None or heldout is None:
        return None
    known, own = training.unique(dim=0, return_inverse=True)
    if not 2 <= len(known) <= min(MOST_CLASSES, len(training) // 4):
        return None
    return _numbers(generated, known), own, _numbers(heldout, known)


def label_rows(populations: PicturePopulations, *, seed: int) -> list[MetricRow]:
    """The accuracy on held-out pictures after learning from generated ones, and from as many training ones.

    Source: Ravuri and Vinyals 2019, arXiv 1905.10887 (classification accuracy score).
    """
    classes = classes_of(populations)
    if classes is None:
        return []
    count, number = populations.floor_count, int(classes[1].max()) + 1
    real, named = populations.heldout.samples[classes[2] >= 0], classes[2][classes[2] >= 0]
    if len(real) < LEAST or int((classes[0][:count] >= 0).sum()) < LEAST:
        return []
    found = []
    for batch, labels in ((populations.generated, classes[0]), (populations.training, classes[1])):
        rng, usable = torch.Generator().manual_seed(seed), (labels[:count] >= 0).nonzero().flatten()
        net = trained_classifier(batch.samples[usable], labels[usable], number, steps=STEPS, rng=rng)
        found.append((in_chunks(net, real).argmax(1) == named).double().mean().item())
    errors = [math.sqrt(each * (1 - each) / len(real)) for each in found]
    return [
        MetricRow(
            name=NAME,
            label="Accuracy on real pictures, learnt from samples",
            value=found[0],
            error=errors[0],
            floor=found[1],
            floor_error=errors[1],
            better="higher",
            features="pictures",
            generated=count,
            reference=len(real),
            note=f"a network of three convolutions, at most {STEPS} steps, {number} classes; floor: from training ones",
        )
    ]


def _numbers(contexts: Tensor, known: Tensor) -> Tensor:
    same = torch.cdist(contexts, known) < 1e-6
    return torch.where(same.any(1), same.int().argmax(1), -1)
