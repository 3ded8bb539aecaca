"""What Benjamin et al. 2022 show, panel by panel, as command lines: a panel is one entry."""

from __future__ import annotations

from dataclasses import dataclass

from psychophys.base.registry import Registry

PAPER = "Benjamin, Zhang, Qiu, Stocker & Kording 2022, Nat Commun 13:7972"


@dataclass(frozen=True)
class Panel:
    """A figure of the paper, or of a question that it asks.

    Attributes
    ----------
    summary
        What is shown.
    claim
        What the paper says of it.
    commands
        Arguments of ``psychophys``, run in this order in a directory of the panel's own. ``{models}`` stands
        for the models.
    models
        The paper's, where there are any; their weights are on the model hub.
    differs
        What is done otherwise than there, and why.
    minutes
        On two CPU cores, with the embedded network.
    """

    name: str
    summary: str
    claim: str
    commands: tuple[str, ...]
    differs: str
    minutes: float
    models: tuple[str, ...] = ()

    def lines(self, models: tuple[str, ...]) -> list[str]:
        """The commands with these models."""
        return [command.replace("{models}", " ".join(models)) for command in self.commands]


CLASSIFIERS = ("resnet18", "resnet34", "resnet50", "vgg16_bn")

PANELS = Registry(
    "panel",
    (
        Panel(
            "fig2",
            "sensitivity to orientation, layer by layer: trained, untrained, weights shuffled",
            "Deep layers of trained networks are most sensitive at 0 and 90 deg; early layers are not, and "
            "networks that are untrained or shuffled are not.",
            (
                "measure {models} --preset benjamin2022 --weights pretrained,random,shuffled "
                "-o paper.parquet",
                "plot paper.parquet -o paper.png",
                "measure {models} --weights pretrained,random,shuffled -o exact.parquet",
                "plot exact.parquet -o exact.png",
                "compare exact.parquet -o comparison.parquet --figure comparison.png",
            ),
            "paper.* has the conventions of the paper's code: central differences of 0.01 rad, end points "
            "counted twice, gabors cut at the image's border. exact.* has ours: exact derivatives, gabors "
            "that fade. One untrained network is no test of what training did: `psychophys test` has "
            "twenty.",
            13,
            CLASSIFIERS,
        ),
        Panel(
            "fig2-networks",
            "what architectures alone make: AlexNet, pools apart, no pools, round kernels, all untrained",
            "Neither overlapping pools nor square kernels make the preference for 0 and 90 deg.",
            (
                "measure alexnet alexnet_nooverlap --weights random --seeds 3 --values 24 -o pools.parquet",
                "plot pools.parquet -o pools.png",
                "measure alexnet_nopool alexnet_circular --weights random --seeds 3 --values 24 "
                "-o kernels.parquet",
                "plot kernels.parquet -o kernels.png",
                "measure alexnet_cifar resnet20_cifar --weights random --seeds 3 --values 24 "
                "-o small.parquet",
                "plot small.parquet -o small.png",
            ),
            "Weights of the paper's own trainings are not published: these are untrained, three of each. For "
            "trained ones give `measure alexnet --checkpoint FILE`: torchvision's file of AlexNet is read as "
            "it is.",
            5,
        ),
        Panel(
            "fig2-rotated",
            "training on photographs that are turned by 45 deg",
            "The preferred orientations turn with the photographs.",
            (
                "learn autoencoder -o autoencoder.parquet --figure autoencoder.png",
                "learn classifier -o classifier.parquet --figure classifier.png",
            ),
            "The paper trains AlexNet on ImageNet. Here small denoising autoencoders and a small network of "
            "timm's learn from the eight photographs that come along (--images takes others); crops are "
            "round and equally sharp at both angles. examples/train_turned.py does the paper's own on a "
            "folder of photographs.",
            7,
        ),
        Panel(
            "planted",
            "training in worlds whose prior of orientations is planted (not in the paper)",
            "Sensitivity follows the prior of the world that is learned, whichever it is.",
            ("learn planted -o planted.parquet --figure planted.png",),
            "The paper has the prior of photographs, which is an estimate and peaks where pixels do. Here "
            "it is known, and peaks elsewhere, too.",
            17,
        ),
        Panel(
            "fig3",
            "sensitivity to hue, and how common hues are",
            "Networks are most sensitive to the hues that are most common in photographs.",
            (
                "measure {models} --preset benjamin2022 --dimension hue --set saturation=1 --set value=0.8 "
                "--weights pretrained,random,shuffled -o hue.parquet",
                "plot hue.parquet -o hue.png",
                "measure {models} --preset benjamin2022 --dimension hue --pooling sum --values 36 "
                "--weights pretrained,random,shuffled -o marginalised.parquet",
                "plot marginalised.parquet -o marginalised.png",
                "compare hue.parquet -o comparison.parquet --figure comparison.png",
                "compare marginalised.parquet -o marginalised-comparison.parquet",
                "compare hue.parquet --human --reference ciede2000 -o people.parquet",
                "compare hue.parquet --human --reference cielab -o people-cielab.parquet",
            ),
            "Along the HSV ring one channel changes at a time, so that networks that weigh them unlike are "
            "uneven untrained: untrained networks stand beside each layer. marginalised.* adds J up over 8 x "
            "8 saturations and values, as the paper does, every 10 deg instead of every one. People are "
            "CIEDE2000, and the paper's Euclidean distance in CIELAB.",
            20,
            CLASSIFIERS,
        ),
        Panel(
            "fig3-rotated",
            "training on photographs whose hues are turned",
            "Sensitivity turns with the hues of the photographs.",
            ("learn hue -o hue.parquet --figure hue.png",),
            "The paper trains a network on ImageNet with hues turned by 90 deg. Here small networks remove "
            "noise from single pixels of eight photographs, turned by 90 and by 120 deg, and the best that "
            "can be done is known. examples/train_turned.py does the paper's own on a folder of photographs.",
            3,
        ),
        Panel(
            "fig4",
            "linear autoencoders of image patches: sensitivity to each principal component",
            "Components are learned in the order of their variance, the more of it the faster.",
            (
                "learn linear -o linear.parquet --figure linear.png",
                "learn linear --patch 32 -o linear32.parquet --figure linear32.png",
            ),
            "Patches have 16 x 16 pixels as in the paper's text and 32 x 32 as in its code; one, two and "
            "three matrices, and one with its transpose; training is by exact gradients from the covariance, "
            "and each curve has its closed form beside it.",
            6,
        ),
        Panel(
            "fig5",
            "linear autoencoders of image patches: sensitivity to frequency, and acuity, over training",
            "Low frequencies are learned first, and acuity grows with the square root of time.",
            (
                "learn linear -o linear.parquet --figure linear.png",
                "learn linear --patch 32 -o linear32.parquet --figure linear32.png",
            ),
            "As in fig4. Acuity is in cycles a patch, and has its closed form beside it.",
            6,
        ),
        Panel(
            "fig6",
            "classifiers of orientation: frequency against label information",
            "Both frequency and information make sensitivity; where information is balanced, frequency does.",
            (
                "learn supervised -o supervised.parquet --figure supervised.png",
                "learn supervised --conditions images-noisy,balanced-noisy --runs 3 -o noisy.parquet "
                "--figure noisy.png",
            ),
            "The paper's label noise does not balance information (paper-dropped has it; balanced-dropped is "
            "corrected), and a dropped label thins the images: labels are flipped as well, and images are "
            "noisy in place of labels.",
            8,
        ),
    ),
    Panel,
)
