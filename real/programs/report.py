import collections, datetime, hashlib, json, os, re, sys
from decimal import Decimal
from fractions import Fraction

with open("/work/list.json") as file:
    data = json.load(file)
words = re.findall(r"[a-z]+", "the cat, the dog; the end")
print(collections.Counter(words).most_common(2), sorted(data[1]))
print(datetime.date(2026, 2, 28) + datetime.timedelta(days=1), Fraction(1, 3) + Fraction(1, 6))
print(hashlib.sha256(json.dumps(data).encode()).hexdigest(), Decimal(1) / Decimal(7))
print([f"{n:08.3f}" for n in (0.1, 1e5, -2.5)], 2**200 % 1_000_007)
try:
    os.stat("/etc/passwd")
except OSError as error:
    print(type(error).__name__)
sys.exit(5)
