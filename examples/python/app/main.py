"""Handlers of the example; they run once for a warm-up request each before the program is captured."""

import collections
import datetime
import hashlib
import json
import random
import re
import secrets
import uuid

import faas

visits = 0


def small(request):
    """Loads a JSON body, takes a field, dumps an answer."""
    name = json.loads(request.body)["name"]
    return json.dumps({"hello": name})


def five(request):
    """Words, a digest, a date and counts of a line of text."""
    text = request.body.decode()
    words = re.findall(r"[a-z]+", text.lower())
    day = re.search(r"\d{4}-\d{2}-\d{2}", text)
    weekday = datetime.date.fromisoformat(day.group()).isoweekday() if day else None
    counts = collections.Counter(words)
    digest = hashlib.sha256(request.body).hexdigest()
    return json.dumps({"words": counts.most_common(3), "weekday": weekday, "sha256": digest})


def chance(request):
    """Numbers that must differ from request to request, and a count that must not."""
    global visits
    visits += 1
    numbers = [random.random(), str(uuid.uuid4()), secrets.token_hex(8)]
    return json.dumps({"visits": visits, "numbers": numbers})


HANDLERS = {"/small": small, "/five": five, "/chance": chance}

while True:
    request = faas.accept()
    handler = HANDLERS.get(request.path)
    if handler is None:
        faas.answer("there is no such handler\n", status=404)
        continue
    try:
        faas.answer(handler(request), "application/json")
    except (KeyError, ValueError) as error:
        faas.answer(f"{error}\n", status=400)
