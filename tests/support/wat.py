"""SmartModules for tests, written by hand in WebAssembly's text.

Each is made of the same frame: memory, an allocator that never frees, and the import that
says where the output is. Inputs are those of versions from 23 on: base offset (i64), size
of the records (i32), count and records, time (i64), and for an aggregate its accumulator.
"""

from __future__ import annotations

import gzip

import wasmtime

from qd_fluvio.wire.smartmodules import AdHocModule, FilterKind, Invocation, StoredModule

_FRAME = """
(module
  (import "env" "copy_records" (func $output (param i32 i32)))
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 4096))
  (func $alloc (export "alloc") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.const 1)
        (i32.shr_u (local.get $size) (i32.const 16)))))))
    (local.get $at))
  ;; big-endian numbers
  (func $swap (param $x i32) (result i32)
    (i32.or
      (i32.rotl (i32.and (local.get $x) (i32.const 0xff00ff00)) (i32.const 8))
      (i32.rotr (i32.and (local.get $x) (i32.const 0x00ff00ff)) (i32.const 8))))
  (func $get (param $at i32) (result i32) (call $swap (i32.load (local.get $at))))
  (func $put (param $at i32) (param $x i32)
    (i32.store (local.get $at) (call $swap (local.get $x))))
  ;; where the record at $at ends; shorter than 8192 bytes
  (func $end (param $at i32) (result i32)
    (local $first i32)
    (local.set $first (i32.load8_u (local.get $at)))
    (if (result i32) (i32.lt_u (local.get $first) (i32.const 128))
      (then (i32.add (i32.add (local.get $at) (i32.const 1))
        (i32.shr_u (local.get $first) (i32.const 1))))
      (else (i32.add (i32.add (local.get $at) (i32.const 2))
        (i32.shr_u (i32.or (i32.and (local.get $first) (i32.const 127))
          (i32.shl (i32.load8_u offset=1 (local.get $at)) (i32.const 7))) (i32.const 1))))))
%s)
"""
_FUNCTION = """
  (func (export "%s") (param $at i32) (param $size i32) (param $version i32) (result i32)
    %s)
"""


def module(*functions: tuple[str, str], extra: str = "") -> bytes:
    """A module of functions of the interface, given by name and body."""
    bodies = "".join(_FUNCTION % function for function in functions)
    return bytes(wasmtime.wat2wasm(_FRAME % (extra + bodies)))


def plain(text: str) -> bytes:
    """A module without the frame."""
    return bytes(wasmtime.wat2wasm(text))


def ad_hoc(wasm: bytes, **fields: object) -> Invocation:
    """The module as a request sends it along."""
    kind = fields.pop("kind", FilterKind())
    return Invocation(AdHocModule(gzip.compress(wasm)), kind, **fields)  # type: ignore[arg-type]


def stored(name: str) -> Invocation:
    """The module as a request names it."""
    return Invocation(StoredModule(name), FilterKind())


# The records as they came: their bytes, then that there is no error.
_SAME = """
    (local $records i32)
    (local.set $records (call $get (i32.add (local.get $at) (i32.const 8))))
    (i32.store8 offset=12 (i32.add (local.get $at) (local.get $records)) (i32.const 0))
    (call $output (i32.add (local.get $at) (i32.const 12))
      (i32.add (local.get $records) (i32.const 1)))
    (i32.const 0)
"""
KEEP_ALL = module(("filter", _SAME))

# The first, third, fifth... record of each batch, moved together in place.
EVERY_SECOND = module(
    (
        "filter",
        """
    (local $left i32) (local $kept i32) (local $from i32) (local $to i32) (local $end i32)
    (local.set $left (call $get (i32.add (local.get $at) (i32.const 12))))
    (local.set $from (i32.add (local.get $at) (i32.const 16)))
    (local.set $to (local.get $from))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $left)))
      (local.set $end (call $end (local.get $from)))
      (memory.copy (local.get $to) (local.get $from)
        (i32.sub (local.get $end) (local.get $from)))
      (local.set $to (i32.add (local.get $to)
        (i32.sub (local.get $end) (local.get $from))))
      (local.set $kept (i32.add (local.get $kept) (i32.const 1)))
      (local.set $from (local.get $end))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $done (i32.eqz (local.get $left)))
      (local.set $from (call $end (local.get $from)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))
    (call $put (i32.add (local.get $at) (i32.const 12)) (local.get $kept))
    (i32.store8 (local.get $to) (i32.const 0))
    (call $output (i32.add (local.get $at) (i32.const 12))
      (i32.sub (i32.add (local.get $to) (i32.const 1))
        (i32.add (local.get $at) (i32.const 12))))
    (local.get $kept)
""",
    )
)

# No record at all.
DROP_ALL = module(
    (
        "filter",
        """
    (call $put (i32.const 0) (i32.const 0))
    (i32.store8 offset=4 (i32.const 0) (i32.const 0))
    (call $output (i32.const 0) (i32.const 5))
    (i32.const 0)
""",
    )
)

# Small letters made large. Lengths below 48 are no letters.
UPPER = module(
    (
        "map",
        """
    (local $records i32) (local $here i32) (local $end i32) (local $byte i32)
    (local.set $records (call $get (i32.add (local.get $at) (i32.const 8))))
    (local.set $here (i32.add (local.get $at) (i32.const 12)))
    (local.set $end (i32.add (local.get $here) (local.get $records)))
    (loop $next
      (local.set $byte (i32.load8_u (local.get $here)))
      (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 26))
        (then (i32.store8 (local.get $here) (i32.sub (local.get $byte) (i32.const 32)))))
      (local.set $here (i32.add (local.get $here) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $here) (local.get $end))))
    (i32.store8 (local.get $end) (i32.const 0))
    (call $output (i32.add (local.get $at) (i32.const 12))
      (i32.add (local.get $records) (i32.const 1)))
    (i32.const 0)
""",
    )
)

# All records of a batch, twice.
TWICE = module(
    (
        "array_map",
        """
    (local $body i32) (local $from i32) (local $out i32)
    (local.set $body (i32.sub (call $get (i32.add (local.get $at) (i32.const 8)))
      (i32.const 4)))
    (local.set $from (i32.add (local.get $at) (i32.const 16)))
    (local.set $out (call $alloc (i32.add (i32.const 5)
      (i32.mul (i32.const 2) (local.get $body)))))
    (call $put (local.get $out) (i32.mul (i32.const 2)
      (call $get (i32.add (local.get $at) (i32.const 12)))))
    (memory.copy (i32.add (local.get $out) (i32.const 4)) (local.get $from) (local.get $body))
    (memory.copy (i32.add (i32.add (local.get $out) (i32.const 4)) (local.get $body))
      (local.get $from) (local.get $body))
    (i32.store8 offset=4 (i32.add (local.get $out)
      (i32.mul (i32.const 2) (local.get $body))) (i32.const 0))
    (call $output (local.get $out) (i32.add (i32.const 5)
      (i32.mul (i32.const 2) (local.get $body))))
    (i32.const 0)
""",
    )
)

# One record a batch, of one byte: how many records there were since the accumulator began.
COUNT = module(
    (
        "aggregate",
        """
    (local $raw i32) (local $accumulator i32) (local $count i32)
    (local.set $raw (call $get (i32.add (local.get $at) (i32.const 8))))
    (local.set $accumulator (i32.add (i32.add (local.get $at) (local.get $raw))
      (i32.const 24)))
    (local.set $count (call $get (i32.add (local.get $at) (i32.const 12))))
    (if (call $get (i32.sub (local.get $accumulator) (i32.const 4)))
      (then (local.set $count (i32.add (local.get $count)
        (i32.load8_u (local.get $accumulator))))))
    ;; count 1, record, no error, accumulator of one byte
    (i32.store8 offset=11 (i32.const 0) (local.get $count))
    (i32.store8 offset=18 (i32.const 0) (local.get $count))
    (call $output (i32.const 1) (i32.const 18))
    (i32.const 1)
""",
    ),
    extra="""
  (data (i32.const 1) "\\00\\00\\00\\01\\0e\\00\\00\\00\\00\\02?\\00\\00\\00\\00\\00\\01?")
""",
)
# Where the counts above go: after count (4), length, attributes, time, offset, no key and
# the value's length; and after the value's end, no headers, no error and a size of 1.

# The records that came, then an error at offset 7 about a record of key "k" and value "v".
FAILING = module(
    (
        "map",
        """
    (local $records i32) (local $end i32)
    (local.set $records (call $get (i32.add (local.get $at) (i32.const 8))))
    (local.set $end (i32.add (i32.add (local.get $at) (local.get $records)) (i32.const 12)))
    (global.set $free (i32.add (global.get $free) (i32.const 64)))
    (memory.copy (local.get $end) (i32.const 64) (i32.const 23))
    (call $output (i32.add (local.get $at) (i32.const 12))
      (i32.add (local.get $records) (i32.const 23)))
    (i32.const 0)
""",
    ),
    extra="""
  (data (i32.const 64) "\\01\\00\\06sorry!\\00\\00\\00\\00\\00\\00\\00\\07\\01\\01\\02k\\02v")
""",
)

REFUSING_INIT = module(
    (
        "init",
        """
    (call $output (i32.const 64) (i32.const 9))
    (i32.const -2)
""",
    ),
    ("filter", _SAME),
    extra="""
  (data (i32.const 64) "\\00\\07no key!")
""",
)

# `look_back` counts the records it is shown; `map` gives one record, of that number.
LOOKING_BACK = module(
    (
        "look_back",
        """
    (global.set $seen (call $get (i32.add (local.get $at) (i32.const 12))))
    (i32.const 0)
""",
    ),
    (
        "map",
        """
    (i32.store8 offset=11 (i32.const 0) (global.get $seen))
    (call $output (i32.const 1) (i32.const 13))
    (i32.const 1)
""",
    ),
    extra="""
  (global $seen (mut i32) (i32.const 99))
  (data (i32.const 1) "\\00\\00\\00\\01\\0e\\00\\00\\00\\00\\02?\\00\\00")
""",
)

# Says no to all it is shown, for a record of offset 3, without key, of value "old".
REFUSING_LOOK_BACK = module(
    (
        "look_back",
        """
    (call $output (i32.const 64) (i32.const 19))
    (i32.const -99)
""",
    ),
    ("filter", _SAME),
    extra="""
  (data (i32.const 64) "\\00\\04late\\00\\00\\00\\00\\00\\00\\00\\03\\00\\06old")
""",
)

TRAPPING = module(("filter", "unreachable"))
BAD_STATUS = module(("filter", "(i32.const -22)"))
SILENT = module(("filter", "(i32.const 0)"))
ENDLESS = module(("filter", "(loop $again (br $again)) (i32.const 0)"))
ENDLESS_INIT = module(("init", "(loop $again (br $again)) (i32.const 0)"), ("filter", _SAME))
# Grows its memory until it gets no more, and gives up.
GREEDY = module(
    (
        "filter",
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))"
        "unreachable",
    )
)
LARGE = plain(
    '(module (import "env" "copy_records" (func (param i32 i32))) (memory (export "memory") 40000)'
    ' (func (export "alloc") (param i32) (result i32) (i32.const 0))'
    ' (func (export "filter") (param i32 i32 i32) (result i32) (i32.const 0)))'
)
NO_IMPORT = plain(
    '(module (memory (export "memory") 1) (func (export "alloc") (param i32) (result i32)'
    " (i32.const 0)))"
)
NO_TRANSFORM = module()
OLD_SIGNATURE = plain(
    '(module (import "env" "copy_records" (func (param i32 i32))) (memory (export "memory") 1)'
    ' (func (export "filter") (param i32 i32) (result i32) (i32.const 0)))'
)
UNKNOWN_IMPORT = plain(
    '(module (import "env" "copy_records" (func (param i32 i32))) (import "env" "fly" (func))'
    ' (memory (export "memory") 1))'
)
# Prints, asks for the time and sleeps an hour, as a program for WASI may; then keeps all.
WASI = plain(
    """
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll (param i32 i32 i32 i32) (result i32)))
"""
    + _FRAME.replace("(module", "", 1)
    % (
        _FUNCTION
        % (
            "filter",
            """
    (local $records i32)
    (drop (call $write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 32)))
    (drop (call $time (i32.const 0) (i64.const 0) (i32.const 32)))
    ;; one subscription: a clock, an hour
    (i64.store (i32.const 152) (i64.const 3600000000000))
    (drop (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 32)))
"""
            + _SAME.replace("(local $records i32)", ""),
        )
        + '(data (i32.const 64) "\\48\\00\\00\\00\\05\\00\\00\\00hello")'
    )
)
# Its output is one byte: the size of the output that it was given back before.
TELLS_WHAT_IT_GOT_BACK = module(
    (
        "filter",
        """
    (i32.store8 (i32.const 64) (global.get $back))
    (call $output (i32.const 64) (i32.const 1))
    (i32.const 0)
""",
    ),
    extra="""
  (global $back (mut i32) (i32.const 0))
  (func (export "dealloc") (param i32 i32)
    (global.set $back (local.get 1)))
""",
)
BAD_ALLOC = plain(
    '(module (import "env" "copy_records" (func (param i32 i32))) (memory (export "memory") 1)'
    ' (func (export "alloc") (param i32) (result i32) (i32.const -1))'
    ' (func (export "filter") (param i32 i32 i32) (result i32) (i32.const 0)))'
)
# Keeps records only while it has seen none, neither in `look_back` nor here. Takes some time to
# start, so that others come meanwhile.
ONCE = module(
    (
        "init",
        """
    (local $left i32)
    (local.set $left (i32.const 20000000))
    (loop $next
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $next (local.get $left)))
    (i32.const 0)
""",
    ),
    (
        "look_back",
        """
    (global.set $seen (call $get (i32.add (local.get $at) (i32.const 12))))
    (i32.const 0)
""",
    ),
    (
        "filter",
        """
    (local $records i32)
    (local.set $records (call $get (i32.add (local.get $at) (i32.const 8))))
    (if (global.get $seen) (then
      (local.set $records (i32.const 4))
      (call $put (i32.add (local.get $at) (i32.const 12)) (i32.const 0))))
    (global.set $seen (i32.const 1))
    (i32.store8 offset=12 (i32.add (local.get $at) (local.get $records)) (i32.const 0))
    (call $output (i32.add (local.get $at) (i32.const 12))
      (i32.add (local.get $records) (i32.const 1)))
    (i32.const 0)
""",
    ),
    extra="(global $seen (mut i32) (i32.const 0))",
)
