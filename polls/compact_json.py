"""JSON as it goes over the wire: UTF-8, and no space that means nothing."""

import json

# One for all: to name these options with each call would make an encoder with each.
dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
