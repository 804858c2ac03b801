"""The realtime app."""

from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    """Delivery of counts to dashboards. It owns no tables."""

    name = "realtime"

    def ready(self) -> None:
        """Hear of what happens to polls."""
        from polls import events  # noqa: PLC0415 - after the apps are loaded
        from realtime.runtime import runtime  # noqa: PLC0415 - the same

        events.set_sink(runtime.hear)
