"""The templates: everything that they show is escaped, and a field that is missing is an error."""

from functools import partial
from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from plaint.inbox.answers import html_answer
from plaint.inbox.cards import EMPTY_CARD, clock, visible, web_link
from plaint.inbox.outcome import EMPTY_OUTCOME, post_page
from plaint.inbox.story import EMPTY_ITEM, Story

FOLDER = Path(__file__).parent


class Templates:
    """Makes answers of the pages in ``templates/``.

    ``token`` goes into the form; without it no page offers one. ``tells`` says whether stories can be had.
    """

    def __init__(self, token: str = "", tells: bool = False) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        in_path = partial(quote, safe="")
        self._environment.filters.update(visible=visible, clock=clock, web_link=web_link, in_path=in_path)
        self._environment.globals.update(
            empty=EMPTY_CARD,
            empty_outcome=EMPTY_OUTCOME,
            empty_item=EMPTY_ITEM,
            empty_story=Story("", "", (), (), ()),
            post_page=post_page,
            token=token,
            tells=tells,
        )

    def page(self, name: str, status: int = 200, **fields: object) -> web.Response:
        """The page ``name`` with these fields."""
        return html_answer(self._environment.get_template(name).render(**fields), status)

    def missing(self, message: str, status: int = 404) -> web.Response:
        """A page that says what isn't there."""
        return self.page("missing.html", status, message=message)
