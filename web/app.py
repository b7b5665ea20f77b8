"""The whole application, pages and API: `granian --interface rsgi web.app:app`."""

from typing import Final

from engine.platform.garbage import nothing_collected

with nothing_collected():
    from litestar import Litestar

    from api.app import create_app, in_front
    from api.fastlane.app import FastLane
    from engine.platform.settings import Settings
    from web.engine_room import EngineRoom
    from web.event_page import event_router
    from web.people_router import people_router
    from web.queue_page import ROOM, queue_router
    from web.reference import reference_router


def compose(settings: Settings | None = None) -> Litestar:
    """Return the API with the pages; without settings it reads them from the environment.

    Raises, when it starts, as `create_app`.
    """
    application = create_app(settings)
    application.state[ROOM] = EngineRoom(application.state)
    application.register(queue_router())
    application.register(people_router())
    application.register(reference_router())
    application.register(event_router())
    return application


with nothing_collected():
    app: Final[FastLane] = in_front(compose())
