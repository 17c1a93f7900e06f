"""`digest.toml` and the environment become one `Settings`, checked together, all errors at once.

Every key can also be given by the environment: `DIGEST_<SECTION>_<KEY>` (`DIGEST_SMTP_URL`), with a newsletter's slug
between (`DIGEST_NEWSLETTERS_WATCHDOG_TITLE`); `…_FILE` names a file that holds the value, for secrets. The environment
wins over the file. Nothing else in the project reads the environment.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from digest.settings import DatabasePart, Dkim, Fetch, Form, Inbound, Newsletter, Settings, Smtp, Source, Web
from digest.settings_checks import Checks
from digest.settings_hooks import Hooks
from digest.settings_login import Login, Oidc

FILE_NAME = "digest.toml"
PREFIX = "DIGEST_"
NOT_SETTINGS = ("DIGEST_CONFIG", "DIGEST_USER_PASSWORD")
"""Where the file is, and what `digest users add` is given."""
SECTIONS: dict[str, type[BaseModel]] = {
    "web": Web,
    "smtp": Smtp,
    "database": DatabasePart,
    "fetch": Fetch,
    "inbound": Inbound,
    "hooks": Hooks,
    "form": Form,
    "checks": Checks,
    "login.oidc": Oidc,
    "login": Login,
}
"""The tables of the file that stand by themselves."""


class BadSettings(Exception):
    """The configuration is wrong. `problems` has one line for each wrong key: which, why, and what would be right."""

    def __init__(self, origin: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join([f"{origin}:", *(f"  {problem}" for problem in problems)]))


def path_of(path: Path | None, environ: Mapping[str, str]) -> Path:
    """Where the file is: what `--config` says, else `DIGEST_CONFIG`, else `digest.toml` in the current folder."""
    return path or Path(environ.get("DIGEST_CONFIG") or FILE_NAME)


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of this process.

    `path` is what `--config` says, if anything. Raises `BadSettings` with every problem there is.
    """
    path = path_of(path, environ)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = "there is no such file; make one with `digest init`, or name yours with --config or DIGEST_CONFIG"
        raise BadSettings(str(path), [problem]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(str(path), [f"cannot be read: {error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(str(path), [f"is not TOML: {error}"]) from error
    return parse(data, environ, path)


def parse(data: dict[str, Any], environ: Mapping[str, str], path: Path) -> Settings:
    """Check what a file (named for the messages and for relative paths) and the environment say.

    Raises `BadSettings`.
    """
    problems = list(_overlay(data, environ))
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise BadSettings(str(path), [*problems, *_lines(error)]) from None
    if problems:
        raise BadSettings(str(path), problems)
    return _anchored(settings, path.absolute().parent)


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Make relative paths mean the same from every current folder."""
    update: dict[str, Any] = {
        "keys": folder / settings.keys,
        "newsletters": {slug: _with_its_key(one, folder) for slug, one in settings.newsletters.items()},
    }
    if settings.templates:
        update["templates"] = folder / settings.templates
    if match := re.fullmatch(r"unix:([^/].*)", settings.inbound.listen or ""):
        update["inbound"] = settings.inbound.model_copy(update={"listen": f"unix:{folder / match[1]}"})
    if match := re.fullmatch(r"sqlite:///([^/:].*)", settings.database.url):
        update["database"] = DatabasePart(url=f"sqlite:///{folder / match[1]}")
    return settings.model_copy(update=update)


def _with_its_key(newsletter: Newsletter, folder: Path) -> Newsletter:
    if newsletter.dkim is None:
        return newsletter
    dkim = newsletter.dkim.model_copy(update={"key": folder / newsletter.dkim.key})
    return newsletter.model_copy(update={"dkim": dkim})


def _lines(error: ValidationError) -> Iterator[str]:
    """A line for each problem. A list whose members are all wrong is not called empty besides."""
    found = error.errors()
    for one in found:
        inside = any(other is not one and other["loc"][: len(one["loc"])] == one["loc"] for other in found)
        if not (one["type"] == "too_short" and inside):
            yield _line(one)


def _line(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    match error["type"]:
        case "missing":
            return f"{where}: is missing"
        case "model_type" | "dict_type":
            return f"{where}: has to be a table of keys and values"
        case "extra_forbidden":
            return f"{where}: is no key of ours{_nearest(error['loc'])}"
        case _:
            # The values of a secret section are never repeated; our own validators quote only what is harmless.
            return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _nearest(loc: tuple[Any, ...]) -> str:
    model: type[BaseModel] = Settings
    if len(loc) > 1:
        inside = Source if "sources" in loc else Dkim if "dkim" in loc[2:] else Newsletter
        model = SECTIONS.get(".".join(str(part) for part in loc[:-1])) or SECTIONS.get(str(loc[0]), inside)
    near = difflib.get_close_matches(str(loc[-1]), [name for name in model.model_fields if name != "slug"], 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _overlay(data: dict[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    """Put the environment's values over the file's; yields what is wrong with them."""
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        text = environ[name]
        key = name.removeprefix(PREFIX)
        if key.endswith("_FILE"):
            key = key.removesuffix("_FILE")
            try:
                text = Path(text).read_text(encoding="utf-8").strip()
            except OSError as error:
                yield f"{name}: the file cannot be read ({error.strerror})"
                continue
            except UnicodeDecodeError:
                yield f"{name}: the file is not text in UTF-8"
                continue
            except ValueError:
                yield f"{name}: is not the name of a file"
                continue
        place = _place(key.lower(), data)
        if place is None:
            yield f"{name}: is no setting of ours"
            continue
        _put(data, place, _value(text))


def _put(data: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    """Set one value; where the file has no table for it to stand in, the check that follows names that table."""
    into: Any = data
    for part in place[:-1]:
        into = into.setdefault(part, {})
        if not isinstance(into, dict):
            return
    into[place[-1]] = value


def _place(key: str, data: dict[str, Any]) -> tuple[str, ...] | None:
    """Where in the file's tree a name of the environment belongs: `smtp_url` is `smtp.url`."""
    if key in ("keys", "templates"):
        return (key,)
    for section, model in SECTIONS.items():
        rest = key.removeprefix(f"{section.replace('.', '_')}_")
        if rest != key and rest in model.model_fields:
            return (*section.split("."), rest)
    newsletters = data.get("newsletters")
    for slug in newsletters if isinstance(newsletters, dict) else ():
        rest = key.removeprefix(f"newsletters_{slug.replace('-', '_')}_")
        if rest != key and rest in Newsletter.model_fields:
            return ("newsletters", slug, rest)
    return None


def _value(text: str) -> Any:
    """A list or table is written as JSON in the environment; everything else is the text itself."""
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text
