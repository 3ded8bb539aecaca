"""Options in groups: which option stands under which heading of a command's help."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

GROUPS = {
    "Stimulus": (
        "stimulus dimension dimensions values phases frequencies settings images preset pooling patch rotate"
    ),
    "Observer": (
        "weights checkpoint seed seeds layers device dtype arithmetic noise_seed batch_size imports network "
        "against against_weights"
    ),
    "Noise": "noise noise_level noise_options",
    "Measurement": "estimator step dprime confidence until_precision",
    "Output": "output file_format append force figure modes checkpoints save quiet",
}
"""Names of options by heading; the others are the command's own."""
HEADING_OF = {name: heading for heading, names in GROUPS.items() for name in names.split()}


class GroupedCommand(TyperCommand):
    """A command whose help has the options under headings."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for parameter in self.params:
            if parameter.param_type_name == "option" and parameter.name in HEADING_OF:
                parameter.rich_help_panel = HEADING_OF[parameter.name]  # type: ignore[attr-defined]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, what is the command's own, then the groups."""
        found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], **{g: [] for g in GROUPS}}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is None:
                continue
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            found[getattr(parameter, "rich_help_panel", None) or usual].append(record)
        for heading, records in found.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
