"""What the forms of the pages share."""

from django.forms import Form


def point_to_first(form: Form) -> None:
    """Let the browser begin at the first field at fault, else at the first that is empty."""
    faulty = next((name for name in form.fields if name in form.errors), None)
    empty = next((name for name in form.fields if not form[name].value()), None)
    name = faulty or (None if form.errors else empty)
    if name is not None:
        form.fields[name].widget.attrs["autofocus"] = True
