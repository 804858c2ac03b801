"""`make messages`: the texts of the pages into the translators' files, and those into what is read.

Babel does what GNU gettext would, so that nothing need be installed for it.
"""

import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "web" / "locale"
_KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), None),
    **dict.fromkeys(("_n", "ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "npgettext"), ((1, "c"), 2)),
}
# Both Python and templates mark a place to be filled in this way.
_PLACE = re.compile(r"%\(\w+\)[sd]")


def _sources() -> Iterator[tuple[Path, str]]:
    """Yield each file that has texts, as Python that Babel can read."""
    if not settings.configured:
        settings.configure(USE_I18N=True)
    for folder in ("web", "accounts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, path.read_text("utf-8")
    for path in sorted((ROOT / "web" / "templates").rglob("*")):
        if path.suffix in {".html", ".txt"}:
            made = templatize(path.read_text("utf-8"), origin=str(path))
            # What a template is indented by means nothing.
            yield path, "\n".join(line.strip() for line in made.splitlines())


def template() -> Catalog:
    """Return all texts of the pages, untranslated."""
    catalog = Catalog(project="polls", charset="utf-8")
    for path, text in _sources():
        source = io.BytesIO(text.encode())
        for _line, message, comments, context in extract("python", source, _KEYWORDS):
            found = message if isinstance(message, str) else message[0]
            if found:  # the empty text would be the file's head
                flags = ["python-format"] if _PLACE.search(found) else []
                place = [(str(path.relative_to(ROOT)), 0)]
                catalog.add(message, None, place, flags, comments, context=context)
    return catalog


def merged(language: str) -> Catalog:
    """Return a language's catalogue with the texts that there are now, and no others."""
    path = po_path(language)
    catalog = Catalog(locale=language)
    if path.exists():
        with path.open("rb") as file:
            catalog = read_po(file, locale=language)
    catalog.update(template(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    return catalog


def po_path(language: str) -> Path:
    """Return where translators write."""
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def as_po(catalog: Catalog) -> bytes:
    """Return a catalogue as translators read it: sorted, without the lines' numbers or dates."""
    file = io.BytesIO()
    write_po(file, catalog, width=99, include_lineno=False, omit_header=True, sort_output=True)
    head = (
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        f'"Language: {catalog.locale}\\n"\n"Plural-Forms: {catalog.plural_forms}\\n"\n\n'
    )
    return head.encode() + file.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    """Return a catalogue as Django reads it, the same whenever it is written."""
    catalog.creation_date = catalog.revision_date = datetime(2000, 1, 1, tzinfo=UTC)
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def missing(catalog: Catalog) -> list[str]:
    """Return the texts that have no translation, or a doubtful one."""
    return [
        str(message.id)
        for message in catalog
        if message.id and (message.fuzzy or not all(forms_of(message)))
    ]


def forms_of(message: Message) -> list[str]:
    """Return the translations of a text: one, or one for each plural form."""
    forms = [message.string] if isinstance(message.string, str) else message.string or [""]
    return list(forms)


def main() -> int:
    """Write the files of every language; return 1 where a text has no translation."""
    found = 0
    for folder in sorted(path for path in LOCALE.iterdir() if path.is_dir()):
        catalog = merged(folder.name)
        path = po_path(folder.name)
        path.write_bytes(as_po(catalog))
        with path.open("rb") as file:
            path.with_suffix(".mo").write_bytes(as_mo(read_po(file, locale=folder.name)))
        for text in missing(catalog):
            found = 1
            sys.stderr.write(f"{folder.name} has no translation of: {text}\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
