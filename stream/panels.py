"""The panel of experts that the settings ask for."""

from experts.executor import OnFailure, Panel
from experts.registry import ZOO, load_panel
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
