"""The functions of expressions, one line each: what ``flunq expr --list`` prints."""

from __future__ import annotations

import re
from typing import Any

_SIGNATURE = re.compile(r"(\w+)(?:\((.*)\))?")

FUNCTIONS = """
IN(source)  whether the value is among the results of source
IN(source; values)  whether any result of source is among values
INDEX(key)  an object of the items by their key
INDEX(source; key)  an object of the results of source by their key
JOIN(index; key)  every item with what the index holds for its key
JOIN(index; source; key)  every result of source with what the index holds for its key
JOIN(index; source; key; f)  the same, each pair passed through f
abs  the number without its sign
acos  arc cosine
acosh  inverse hyperbolic cosine
add  all items, added up or joined
add(f)  all results of f, added up or joined
all  whether every item is true
all(f)  whether f holds for every item
all(source; f)  whether f holds for every result of source
any  whether at least one item is true
any(f)  whether f holds for at least one item
any(source; f)  whether f holds for at least one result of source
arrays  the value if it is an array, else nothing
ascii  the character of a code
ascii_downcase  the text with A to Z in lower case
ascii_upcase  the text with a to z in upper case
asin  arc sine
asinh  inverse hyperbolic sine
atan  arc tangent
atan2(y; x)  angle of a point
atanh  inverse hyperbolic tangent
booleans  the value if it is a boolean, else nothing
bsearch(x)  where x is in a sorted array, or where it would be
builtins  the names of all functions
capture(regex)  an object of the named groups of a match
capture(regex; flags)  the same, with flags such as "x" or "gi"
cbrt  cube root
ceil  the next whole number above
combinations  every way to take one item of each inner array
combinations(n)  every way to take n items, repeating them
contains(x)  whether the value holds x: part of a text, members of an array or object
copysign(a; b)  a with the sign of b
cos  cosine
cosh  hyperbolic cosine
date  a moment in seconds as ISO 8601 text
dateadd(unit; n)  a moment n units later
datesub(unit; n)  a moment n units earlier
debug  the value itself
debug(f)  the value itself
del(paths)  the value without what is at some paths
delpaths(paths)  the value without what is at paths given as arrays
drem(a; b)  remainder of a division to the nearest
empty  nothing at all
endswith(text)  whether a text ends with another
erf  error function
erfc  complementary error function
error  fail with the value as the message
error(message)  fail with a message
exp  e to the power of the number
exp10  10 to the power of the number
exp2  2 to the power of the number
explode  the code points of a text
expm1  e to the power of the number, less 1
fabs  the number without its sign
fdim(a; b)  how much a is above b, or 0
finites  the value if it is a finite number, else nothing
first  the first item
first(f)  the first result of f
flatten  nested arrays pulled up into one
flatten(depth)  nested arrays pulled up so many levels
floor  the next whole number below
fma(a; b; c)  a times b plus c
fmax(a; b)  the larger number
fmin(a; b)  the smaller number
fmod(a; b)  remainder of a division
format(name)  the value as text, json, html, uri, csv, tsv, sh, base64 or base64d
frexp  fraction and exponent of a number
from_entries  an object of entries with key and value
fromdate  an ISO 8601 text in seconds since 1970
fromdateiso8601  an ISO 8601 text in seconds since 1970
fromjson  the value of a JSON text
fromstream(source)  values put together from a stream of leaves
gamma  logarithm of the gamma function
getpath(path)  what is at a path given as an array
gmtime  seconds since 1970 as year, month, day and so on
group_by(f)  arrays of the items that are alike by f
gsub(regex; replacement)  the text with every match replaced
gsub(regex; replacement; flags)  the same, with flags such as "i"
has(key)  whether there is such a member or item, even a null
have_decnum  whether numbers keep all their digits
have_literal_numbers  whether literal numbers are kept as written
hypot(a; b)  length of the diagonal
implode  a text of code points
in(object)  whether the value is a key of an object or array
index(x)  where x occurs first
indices(x)  all places where x occurs
infinite  infinity
inside(x)  whether x holds the value
isempty(f)  whether f has no result
isfinite  whether the number is finite
isinfinite  whether the number is infinite
isnan  whether the number is no number
isnormal  whether the number is neither 0 nor tiny nor infinite
iterables  the value if it is an array or object, else nothing
j0  Bessel function of the first kind, order 0
j1  Bessel function of the first kind, order 1
jn(n; x)  Bessel function of the first kind
join(separator)  the items as one text
keys  the names of an object, sorted, or the positions of an array
keys_unsorted  the names of an object in its own order
last  the last item
last(f)  the last result of f
ldexp(x; n)  x times 2 to the power of n
length  characters, items, members, the size of a number, or 0 for null
lgamma  logarithm of the gamma function
lgamma_r  logarithm of the gamma function, and its sign
limit(n; f)  the first n results of f
localtime  seconds since 1970 as local year, month, day and so on
log  natural logarithm
log10  logarithm to base 10
log1p  natural logarithm of the number plus 1
log2  logarithm to base 2
logb  exponent of a number
ltrim  the text without spaces in front
ltrimstr(text)  the text without a beginning
map(f)  the results of f for every item
map_values(f)  every member replaced by the first result of f
match(regex)  where a regular expression matches, and what
match(regex; flags)  the same, with flags such as "g"
max  the largest item
max_by(f)  the item with the largest f
min  the smallest item
min_by(f)  the item with the smallest f
mktime  year, month, day and so on in seconds since 1970
modf  fraction and whole part of a number
nan  no number
nearbyint  the nearest whole number, halves to the even one
nextafter(a; b)  the next number after a towards b
nexttoward(a; b)  the next number after a towards b
normals  the value if it is a normal number, else nothing
not  the opposite: true for false and null
now  the present moment in seconds since 1970
nth(n)  the item at a position
nth(n; f)  the n-th result of f
nulls  the value if it is null, else nothing
numbers  the value if it is a number, else nothing
objects  the value if it is an object, else nothing
path(f)  the path, as an array, of what f finds
paths  the paths of everything inside
paths(f)  the paths of everything inside for which f holds
pick(paths)  the value with nothing but what is at some paths
pow(a; b)  a to the power of b
range(n)  the numbers from 0 below n
range(from; to)  the numbers from one below another
range(from; to; step)  the same, in steps
recurse  the value and everything inside
recurse(f)  the value, f of it, f of that and so on
recurse(f; condition)  the same, as long as a condition holds
remainder(a; b)  remainder of a division to the nearest
repeat(f)  the value, f of it and so on without end
reverse  the items or characters in the opposite order
rindex(x)  where x occurs last
rint  the nearest whole number, halves to the even one
round  the nearest whole number, halves away from 0
rtrim  the text without spaces at the end
rtrimstr(text)  the text without an ending
scalars  the value if it is no array or object, else nothing
scalb(x; n)  x times 2 to the power of n
scalbln(x; n)  x times 2 to the power of n
scan(regex)  everything that a regular expression matches
scan(regex; flags)  the same, with flags such as "i"
select(f)  the value if f holds, else nothing
setpath(path; x)  the value with x at a path given as an array
significand  the digits of a number, between 1 and 2
sin  sine
sinh  hyperbolic sine
skip(n; f)  the results of f without the first n
sort  the items in order
sort_by(f)  the items in the order of f
split(separator)  the parts of a text
split(regex; flags)  the parts of a text between matches
splits(regex)  the parts of a text between matches, one by one
splits(regex; flags)  the same, with flags such as "i"
sqrt  square root
startswith(text)  whether a text begins with another
strflocaltime(format)  a moment as text in local time
strftime(format)  a moment as text
strings  the value if it is a text, else nothing
strptime(format)  year, month, day and so on of a text
sub(regex; replacement)  the text with the first match replaced
sub(regex; replacement; flags)  the same, with flags such as "g"
tan  tangent
tanh  hyperbolic tangent
test(regex)  whether a regular expression matches
test(regex; flags)  the same, with flags such as "i"
tgamma  gamma function
to_entries  an array of key and value of every member
toarray  the value in an array, unless it is one
toboolean  the boolean that a text says
todate  seconds since 1970 as ISO 8601 text
todateiso8601  seconds since 1970 as ISO 8601 text
tojson  the value as JSON text
tonumber  the number that a text says
tostream  the leaves of the value, each with its path
tostring  a text as it is, anything else as JSON text
transpose  rows as columns
trim  the text without spaces around it
trimstr(text)  the text without a beginning and an ending
trunc  the whole part of a number
truncate_stream(source)  a stream of leaves with shorter paths
type  null, boolean, number, string, array or object
unique  the items, sorted, each once
unique_by(f)  one item for each result of f
until(condition; f)  f again and again until a condition holds
utf8bytelength  bytes of a text
values  the value unless it is null
walk(f)  f applied to everything inside, from the leaves up
while(condition; f)  the value, f of it and so on as long as a condition holds
with_entries(f)  an object whose entries were passed through f
y0  Bessel function of the second kind, order 0
y1  Bessel function of the second kind, order 1
yn(n; x)  Bessel function of the second kind
"""


def functions() -> list[dict[str, Any]]:
    """Return every function with its tier and its line, those that are refused at the end.

    ``fast`` ones run in the engine itself, ``child`` ones in a child process with limits.
    """
    from flunq.core.expressions.names import FORBIDDEN

    rows = []
    for line in FUNCTIONS.strip().splitlines():
        signature, _, description = line.partition("  ")
        rows.append({"function": signature, "tier": _tier(signature), "description": description})
    refused = [
        {"function": name, "tier": "refused", "description": reason}
        for name, reason in FORBIDDEN.items()
        if not name.startswith("$__")
    ]
    return rows + refused


def name_and_arity(signature: str) -> tuple[str, int]:
    """Return the name of a function and how many arguments it takes."""
    found = _SIGNATURE.fullmatch(signature)
    if found is None:
        return signature, 0
    return found[1], 0 if found[2] is None else found[2].count(";") + 1


def _tier(signature: str) -> str:
    from flunq.core.expressions import compile_expression

    name, arity = name_and_arity(signature)
    arguments = f"({'; '.join('.' * arity)})" if arity else ""
    return "child" if compile_expression(name + arguments).fast is None else "fast"
