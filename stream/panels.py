"""The experts that the settings ask for, and any other of their folder."""

from experts.base import Expert
from experts.executor import OnFailure, Panel
from experts.registry import ZOO, load_experts, load_panel, names
from stream.settings import Settings


def open_panel(settings: Settings, on_failure: OnFailure | None = None) -> Panel:
    """Loads the experts and runs them once, so that the first turns do not pay for it.

    Raises ManifestError, ModelError, DeviceError or PanelError, each in one line with what to do.
    """
    panel = load_panel(
        settings.experts_dir or ZOO,
        settings.experts,
        settings.device,
        timeout=settings.expert_timeout,
        on_failure=on_failure,
    )
    panel.warm_up()
    return panel


def expert_names(settings: Settings) -> tuple[str, ...]:
    """The names of the experts of `open_panel`, in its order. ManifestError if the settings' folder is none."""
    return known_names(settings) if settings.experts is None else settings.experts


def known_names(settings: Settings) -> tuple[str, ...]:
    """The names of all experts in the settings' folder, sorted. ManifestError if it is none."""
    return names(settings.experts_dir or ZOO)


def open_expert(settings: Settings, name: str) -> Expert:
    """Loads one expert of the folder of the settings. Errors as of `open_panel`."""
    (expert,) = load_experts(settings.experts_dir or ZOO, [name], settings.device)
    return expert
