"""The web application of ``wsss ask``: a page, pictures by index, and a JSON interface.

All paths are below ``/TOKEN/``::

    GET  ""                            the page, with page.css and page.js
    GET  api/view?annotator=NAME       the next items, and the progress
    POST api/answer                    {"annotator", "index", "answers": {class: "yes", "no" or "skip"}}
    POST api/undo                      {"annotator", "index", "time"}: the item and the time in "last" of a view
    GET  api/summary                   counts, and disagreements
    GET  picture/INDEX                 the picture of an item

The response to every POST is the next view; it is sent after the answers have been written to disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from wsss.data.answers.answer_rows import check_annotator
from wsss.data.answers.question_pictures import question_picture
from wsss.errors import InvalidInput, WsssError
from wsss.io.files.json_files import parse_json
from wsss.io.text.printable import one_line
from wsss.server.access import RequireToken, SecurityHeaders

if TYPE_CHECKING:
    from starlette.requests import Request

    from wsss.data.answers.annotation_session import AnnotationSession
    from wsss.io.rasters.pixel_values.reading import ImageSource

AHEAD = 4
"""Number of items in a view; the page preloads the pictures of the items after the first."""

MAX_BODY = 1 << 16
"""Maximum number of bytes of a request."""

SHOWN_DISAGREEMENTS = 200

FILES = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
}
"""Path → the file in the folder ``page``, and its media type."""


@dataclass(frozen=True)
class Questions:
    """The questions on the page.

    Args:
        session: items and answers.
        images: id of each image → its file; no other file is served.
        annotator: name of the person if it is fixed, otherwise ``None``.
        proposed: name that the page proposes.
        single_label: at most one class per item.
    """

    session: AnnotationSession
    images: Mapping[str, ImageSource]
    annotator: str | None = None
    proposed: str = ""
    single_label: bool = False


def ask_app(questions: Questions, *, token: str, hosts: Sequence[str]) -> Starlette:
    """Return the application.

    Args:
        token: first part of all paths.
        hosts: accepted names in the header Host.
    """
    pages = _Pages(questions)
    routes = [
        *(Route(f"/{path}", _file(name, kind)) for path, (name, kind) in FILES.items()),
        Route("/api/view", pages.view),
        Route("/api/summary", pages.summary),
        Route("/api/answer", _posted(pages.answer), methods=["POST"]),
        Route("/api/undo", _posted(pages.undo), methods=["POST"]),
        Route("/picture/{index}", pages.picture),
    ]
    guard = Middleware(RequireToken, token=token)
    return Starlette(
        routes=[Mount("/{token}", routes=routes, middleware=[guard])],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        ],
        exception_handlers={WsssError: _failed},
    )


class _Pages:
    """The request handlers; they run in threads."""

    def __init__(self, questions: Questions) -> None:
        self.questions, self.session = questions, questions.session

    def view(self, request: Request) -> Response:
        return JSONResponse(self._view(request.query_params.get("annotator")))

    def summary(self, request: Request) -> Response:
        return JSONResponse(self.session.summary(limit=SHOWN_DISAGREEMENTS))

    def picture(self, request: Request) -> Response:
        digits: str = request.path_params["index"]
        # Python refuses to convert thousands of digits.
        index = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else -1
        if not 0 <= index < len(self.session.items):
            return Response(status_code=404)
        item = self.session.items[index]
        content, kind = question_picture(item, self.questions.images[item.image])
        # An index identifies the same picture for as long as the token is valid.
        return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=86400"})

    def answer(self, body: Mapping[str, Any]) -> Response:
        annotator, index, answers = self._annotator(body), _index(body), body.get("answers")
        if not isinstance(answers, dict):
            raise InvalidInput("expected answers")
        self.session.answer(annotator, index, answers)
        return JSONResponse(self._view(annotator))

    def undo(self, body: Mapping[str, Any]) -> Response:
        annotator, time = self._annotator(body), body.get("time")
        index = _index(body)
        if not isinstance(time, str):
            raise InvalidInput("expected the time of an answer")
        self.session.undo(annotator, index, time)
        # A repeated request has the reply of the first one, which may have been lost.
        return JSONResponse({**self._view(annotator, first=index), "undone": self.session.items[index].id})

    def _annotator(self, body: Mapping[str, Any]) -> str:
        name = self.questions.annotator or body.get("annotator")
        if not isinstance(name, str):
            raise InvalidInput("expected the name of an annotator")
        return check_annotator(name)

    def _view(self, annotator: str | None, first: int | None = None) -> dict[str, Any]:
        questions, session = self.questions, self.session
        view: dict[str, Any] = {
            "classes": [one_line(name) for name in session.classes],
            "names": list(session.classes),
            "tiles": bool(session.items[0].size),
            "size": session.items[0].size,
            "single_label": questions.single_label,
            "fixed": questions.annotator,
            "proposed": questions.proposed,
            "total": len(session.items),
        }
        name = questions.annotator or annotator
        if name is None:
            return view
        name = check_annotator(name)
        ahead = session.upcoming(name, AHEAD)
        if first is not None and not session.is_answered(name, first):
            ahead = [first, *(index for index in ahead if index != first)][:AHEAD]
        last = session.last(name)
        return view | {
            "annotator": name,
            "done": session.progress(name).done,
            "next": [{"index": index, "label": _label(session.items[index])} for index in ahead],
            "last": None if last is None else {"index": last.index, "id": last.item.id, "time": last.time},
        }


def _index(body: Mapping[str, Any]) -> int:
    index = body.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise InvalidInput("expected an index")
    return index


def _label(item: Any) -> str:
    image = one_line(item.image)
    return f"{image}, column {item.x}, row {item.y}" if item.size else image


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    content = (resources.files("wsss.server") / "page" / name).read_bytes()

    def respond(request: Request) -> Response:
        return Response(content, media_type=kind)

    return respond


def _posted(work: Callable[[Mapping[str, Any]], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that passes the JSON object of a request to ``work`` in a thread."""

    async def respond(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return JSONResponse({"error": "Expected application/json."}, status_code=415)
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > MAX_BODY:
                return JSONResponse({"error": "The request is too large."}, status_code=413)
        try:
            body = parse_json(content)
        except ValueError as error:
            raise InvalidInput(f"not JSON ({error})") from error
        if not isinstance(body, dict):
            raise InvalidInput("expected a JSON object")
        return await run_in_threadpool(work, body)

    return respond


async def _failed(request: Request, error: Exception) -> Response:
    """Return the message of an error: 400 for invalid input, 500 if the answer could not be saved."""
    return JSONResponse({"error": str(error)}, status_code=400 if isinstance(error, InvalidInput) else 500)
