"""What words on screens and pages mean: headings of printed tables, and terms."""

from __future__ import annotations

SUMMARY = "thresholds"
COMPARISON = "comparison"
SIMULATION = "simulated observers"

HEADINGS = {
    ("layer", ""): "a module of the network; @2 is its second call in one pass",
    ("units", SUMMARY): "activations of the layer for one image",
    ("mean", SUMMARY): "mean threshold over the values, in the dimension's unit",
    ("cardinal", SUMMARY): "threshold at 0 and 90 deg: d' over the mean of their sensitivities",
    ("oblique", SUMMARY): "threshold at 45 and 135 deg: d' over the mean of their sensitivities",
    ("best at", SUMMARY): "the value at which sensitivity is highest",
    ("worst at", SUMMARY): "the value at which sensitivity is lowest",
    ("ratio", SUMMARY): "sensitivity at cardinal over that at oblique orientations, or highest over lowest",
    ("kept", SUMMARY): "share of the pixels' information that the layer retains (input noise)",
    (
        "r",
        COMPARISON,
    ): "correlation of sensitivity with the prior, or with people, over the values",
    (
        "q",
        COMPARISON,
    ): "J goes with the prior (or human sensitivity) to this power: 0 where sensitivity is even, 2 where it "
    "is proportional; its interval is 95 %",
    ("interval", COMPARISON): "95 % interval of q",
    ("untrained", COMPARISON): "r of 95 % of the networks that were not trained",
    ("p", COMPARISON): "of r among networks that were not trained, over all layers at once",
    ("turned", COMPARISON): "share of turns of the curve that do as well, of each layer alone",
    ("r | 90", COMPARISON): "r, given cardinal peaks of any kind",
    ("predicted", SIMULATION): "threshold by Fisher information",
    ("fitted", SIMULATION): "threshold by a psychometric function that is fitted to simulated decisions",
    ("deviation", SIMULATION): "median over the values of fitted over predicted threshold, less 1",
    ("largest", SIMULATION): "the largest such deviation",
    ("power", SIMULATION): "how likely a deviation that matters would have been seen",
    ("agree", SIMULATION): "values at which fitted and predicted threshold agree, of all",
    ("alone", "Fisher matrices"): "threshold of one dimension where the others are known",
    ("joint", "Fisher matrices"): "threshold of one dimension where the others are unknown",
    ("hardest to see", "Fisher matrices"): "of all changes at criterion, that of most thresholds alone",
    ("times", "Fisher matrices"): "length of the change that is hardest to see, in thresholds alone",
}
"""Headings of printed tables, by word and table; columns and indices say for themselves what they are."""
TERMS = {
    "J": "Fisher information on the dimension in a layer's noisy responses, in 1/unit^2",
    "d'": "distance of two responses in standard deviations of the noise; at threshold it is 1",
    "threshold": "the smallest difference that is told apart at the criterion: d' over the square root of J",
    "sensitivity": "the square root of J: criterion over threshold",
    "dimension": "the parameter of the stimulus that is measured",
    "value": "where on the dimension is measured",
    "nuisance": "what varies beside the dimension and is averaged over, such as phase or photographs",
    "observer": "the network that is shown images",
    "decider": "a simulated observer, who decides by the noisy responses of a layer",
    "prior": "how common each value of a dimension is in natural images",
    "cardinal": "of orientations, 0 and 90 deg",
    "oblique": "of orientations, 45 and 135 deg",
    "run": "one measurement of one observer; its provenance is kept under run_id",
    "jvp": "exact derivative by forward mode",
    "relative noise": "independent in each unit, its s.d. so many times the layer's r.m.s. response",
    "differential noise": "as if the stimulus itself changed along the dimension: it bounds J; 0 is none",
    "pixels": "the image itself as if it were a layer, with the same noise in every pixel; where its "
    "sensitivity is even, no direction of the layers comes from the image alone",
    "turns of the curve": "a layer's curve moved round the ring of values, step by step, as if by chance; "
    "p is the share that does as well, of each layer alone",
    "untrained": "a network with random weights, of the same architecture, measured in the same way",
    "insensitive": "the layer does not depend on the dimension, so that its threshold is infinite",
}
