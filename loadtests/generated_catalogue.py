"""A catalogue as large as a country's: venues in towns, performers, events and their shows.

Names are put together from lists of words; the same seed gives the same catalogue. As in life a
few towns have most of the venues, most events have one show, and a few run for a month.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct


def _words(listed: str) -> list[str]:
    return listed.split()


_QUALITIES: Final = _words(
    "amber ancient arctic autumn azure bitter black blind blue borrowed brass bright broken "
    "burning calm careful cedar chrome clever cold copper coral crimson crooked crystal dark "
    "distant double dusty early electric emerald empty endless faded fallen feral final flying "
    "foreign forgotten fourth frozen gentle ghostly gilded glass golden grand granite green "
    "grey hidden hollow honest hungry idle indigo inner iron ivory jagged jolly kind last late "
    "lazy little lonely long lost loud lucky lunar marble mellow midnight mighty misty modern "
    "naked narrow noble northern odd opal open orange outer pale paper patient perfect plain "
    "polar proud pure purple quiet rapid rare red restless rising roaming rough royal rusty "
    "sacred salt scarlet second secret shallow sharp silent silver simple slow small soft solar "
    "solemn southern spare stolen stone strange striped sudden sunken sweet swift tall tender "
    "third thirsty tidal timid tin twisted velvet violet warm western white wild winter wooden "
    "yellow young"
)
_THINGS: Final = _words(
    "acrobats almonds anchors antlers apples arrows astronauts badgers bakers balconies bandits"
    " barbers barges beacons bears bells bicycles birches bishops boats bonfires books bridges"
    " brothers builders butterflies cabins candles canyons captains caravans cathedrals cellos"
    " chairs chimneys circles clocks clouds coasts comets compasses coopers crows curtains daggers"
    " dancers deserts diamonds divers doctors dolphins doves dragons drifters drums echoes elms"
    " embers engines engineers falcons farmers feathers fences ferries fiddles fields fires fishers"
    " flames flutes forests foxes gardens gates geese giants gliders gloves goats guitars gypsies"
    " hammers harbours hares harps hawks herons hills horses hunters icebergs islands jackdaws"
    " jugglers kettles keys kites knights ladders lakes lamps lanterns larks leaves legends lemons"
    " letters lighthouses lions locksmiths magnets magpies maples maps masons meadows mermaids"
    " millers mirrors monks moons mountains nomads oaks oars oceans orchards otters owls painters"
    " palaces parrots pebbles pianos pilgrims pilots pines pirates planets poets ponds poplars"
    " postcards potters prisms radios rafters railways ravens rebels ribbons riders rivers robins"
    " rockets roses sailors sandals satellites scholars sculptors shadows shepherds signals sisters"
    " sleepers smiths snowflakes sparrows spires squirrels stairs stars storks storms strangers"
    " swallows swans tailors teapots thieves thunders tigers towers trains travellers trumpets"
    " tulips tunnels valleys violins voyagers wagons walls wanderers waves weavers whales whistles"
    " willows windmills windows wolves wrens zebras"
)
_SYLLABLES: Final = (
    _words("al bar bel bran cor dal el fal gar hal kar lin mar nor os per quel ros sel tor ul ver"),
    _words("a ber den e in ker le mer nau o ra sen ti"),
    _words("bach berg burg dorf field furt hafen heim hof mouth stadt tal ton wald wick"),
)
_HOUSES: Final = (
    *("Arena", "Ballroom", "Cellar", "Chapel", "Club", "Concert Hall", "Courtyard", "Dome"),
    *("Factory", "Forum", "Gallery", "Garden", "Hall", "House", "Hangar", "Library", "Lounge"),
    *("Opera", "Palace", "Park", "Pavilion", "Playhouse", "Stadium", "Studio", "Theatre", "Works"),
)
_TITLES: Final = (
    *("{p}", "{p}", "{p}", "{p}: {q} {t}", "{p}: The {q} Tour", "{p} live", "{p} and {o}"),
    *("{p} play {q} {t}", "An Evening with {p}", "The {q} {t}", "{t} of the {q} {o}", "{p}: {t}"),
)
_TYPES: Final = (
    *("concert",) * 8,
    *("theatre", "theatre", "theatre", "sports", "sports", "comedy", "comedy", "musical"),
    *("conference", "education", "festival", "gaming", "opera", "dance", "family"),
)
_RUNS: Final = (1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 5, 8, 30)
_TOWNS: Final = 400
_PERFORMERS: Final = 8000
_SHOWS_A_VENUE: Final = 20


class Town(Struct, frozen=True):
    """Where venues are."""

    name: str
    country: str
    latitude: float
    longitude: float


class Hall(Struct, frozen=True):
    """A venue."""

    no: int
    name: str
    town: Town
    latitude: float
    longitude: float


class ListedDate(Struct, frozen=True):
    """A show as it is listed."""

    no: int
    event_no: int
    event: str
    type: str
    performers: tuple[str, ...]
    performer_nos: tuple[int, ...]
    hall: Hall
    starts_at: datetime
    price: int
    places: int


class Catalogue(Struct, frozen=True):
    """All of it."""

    towns: list[Town]
    halls: list[Hall]
    performers: list[str]
    shows: list[ListedDate]


def generate_catalogue(*, halls: int, begins: datetime | None = None, seed: int = 7) -> Catalogue:
    """Return a catalogue with so many venues and twenty shows each, within a year of `begins`."""
    luck = random.Random(seed)  # noqa: S311 -- which names there are
    begins = begins or datetime.now(UTC)
    towns = [_town(luck) for _ in range(_TOWNS)]
    weights = [1 / (rank + 2) for rank in range(_TOWNS)]
    houses = [_hall(luck, no, luck.choices(towns, weights)[0]) for no in range(1, halls + 1)]
    performers = [_performer(luck) for _ in range(_PERFORMERS)]
    shows = list(_shows(luck, houses, performers, begins))
    return Catalogue(towns, houses, performers, shows)


def _town(luck: random.Random) -> Town:
    name = "".join(luck.choice(part) for part in _SYLLABLES).capitalize()
    country = luck.choice(("AT", "BE", "CH", "DE", "DE", "DE", "FR", "NL", "PL"))
    return Town(name, country, round(luck.uniform(44, 55), 5), round(luck.uniform(0, 20), 5))


def _hall(luck: random.Random, no: int, town: Town) -> Hall:
    name = (
        f"{luck.choice((town.name, luck.choice(_QUALITIES).capitalize()))} {luck.choice(_HOUSES)}"
    )
    at = town.latitude + luck.gauss(0, 0.05), town.longitude + luck.gauss(0, 0.08)
    return Hall(no, name, town, round(at[0], 6), round(at[1], 6))


def _performer(luck: random.Random) -> str:
    quality, thing = luck.choice(_QUALITIES).capitalize(), luck.choice(_THINGS).capitalize()
    return luck.choice((f"The {quality} {thing}", f"{quality} {thing}", f"{thing} of {quality}"))


def _shows(
    luck: random.Random, halls: list[Hall], performers: list[str], begins: datetime
) -> Iterator[ListedDate]:
    no = event_no = 0
    while no < _SHOWS_A_VENUE * len(halls):
        event_no += 1
        hall = luck.choice(halls)
        nos = tuple(luck.choices(range(len(performers)), k=luck.choice((1, 1, 1, 2))))
        billed = tuple(performers[one] for one in nos)
        title = luck.choice(_TITLES).format(
            p=billed[0],
            o=luck.choice(_THINGS).capitalize(),
            q=luck.choice(_QUALITIES).capitalize(),
            t=luck.choice(_THINGS).capitalize(),
        )
        kind, price = luck.choice(_TYPES), luck.randrange(900, 15_000, 50)
        first = begins + timedelta(days=luck.uniform(1, 330), hours=luck.choice((18, 19, 20)))
        for night in range(min(luck.choice(_RUNS), _SHOWS_A_VENUE * len(halls) - no)):
            no += 1
            yield ListedDate(
                *(no, event_no, title, kind, billed, nos, hall),
                first + timedelta(days=night),
                price + 100 * luck.randrange(5),
                luck.choice((0, 20, 150, 400, 2500)),
            )
