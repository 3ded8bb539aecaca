"""Columns that several tables have, declared once."""

from __future__ import annotations

from psychophys.results.tables import COUNT, NUMBER, TEXT, Column

LAYER_COLUMNS = (
    Column("run_id", TEXT, "", "names the measurement; provenance is kept under it"),
    Column("model", TEXT, "", "as it was asked for"),
    Column("weights", TEXT, "", "pretrained, random, shuffled, checkpoint or given"),
    Column("seed", COUNT, "", "of random and shuffled weights"),
    Column("checkpoint", TEXT, "", "file of weights, as it was named; empty if none"),
    Column("step", COUNT, "", "how far in training; of a checkpoint, the last number in its name"),
    Column(
        "n_parameters", COUNT, "", "of the whole network, frozen ones among them; buffers are not counted"
    ),
    Column("license", TEXT, "", "of pretrained weights, shuffled or not, by timm's name; empty if not known"),
    Column("layer", TEXT, "", "module name; @2 for a module's second call"),
    Column("layer_index", COUNT, "", "order in the forward pass, over all layers of the model"),
    Column("layer_depth", NUMBER, "0-1", "layer_index scaled to the model"),
    Column("n_features", COUNT, "activations", "per image"),
    Column("stimulus", TEXT, "", ""),
)
"""Which layer of which observer was shown what: the first columns of every table of layers."""
ADDED_COLUMNS = ("n_parameters", "license")
"""Those of ``LAYER_COLUMNS`` that came later: files of earlier versions are without them."""
VALUE_COLUMNS = (
    Column("dimension", TEXT, "", "the parameter that varies"),
    Column("value", NUMBER, "unit", "where the dimension is measured"),
    Column("unit", TEXT, "", "of value and threshold"),
)
NOISE_COLUMNS = (
    Column("noise", TEXT, "", "noise model"),
    Column("noise_level", NUMBER, "noise model's", ""),
    Column("criterion_dprime", NUMBER, "d'", ""),
)
ESTIMATOR_COLUMN = Column("estimator", TEXT, "", "what was used: central where jvp was not possible")
