/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/gateway/hindsight.test.ts > TAP > others are asked at each moment, with the nodes as they stood > must match snapshot 1`] = `
Array [
  Array [
    Object {
      "nodes": Array [
        "c",
      ],
      "policy": "least-connections",
      "to": "assign",
      "words": "sent to c (0 under way there; tiny:latest would have had to be loaded first, about 1.5 s)",
    },
    Object {
      "nodes": Array [
        "a",
        "b",
        "c",
      ],
      "policy": "round-robin",
      "to": "unknown",
      "words": "sent to a, b or c: they were equal, and whose turn it was is not known",
    },
    Object {
      "nodes": Array [
        "c",
        "a",
        "b",
      ],
      "policy": "power-of-two",
      "to": "unknown",
      "words": "sent to c, a or b: chance would have decided",
    },
    Object {
      "nodes": Array [
        "a",
        "b",
      ],
      "policy": "warm-first",
      "to": "unknown",
      "words": "sent to a or b: they were equal, and whose turn it was is not known",
    },
    Object {
      "nodes": Array [
        "b",
      ],
      "policy": "prefer=b",
      "to": "assign",
      "words": "sent to b",
    },
    Object {
      "nodes": Array [
        "c",
      ],
      "policy": "avoid=a+b",
      "to": "load",
      "words": "left waiting while c loads tiny:latest (about 1.5 s)",
    },
  ],
  Array [
    Object {
      "nodes": Array [
        "a",
      ],
      "policy": "least-connections",
      "to": "assign",
      "words": "sent to a (0 under way there)",
    },
    Object {
      "nodes": Array [
        "a",
        "b",
      ],
      "policy": "round-robin",
      "to": "unknown",
      "words": "sent to a or b: they were equal, and whose turn it was is not known",
    },
    Object {
      "nodes": Array [
        "a",
      ],
      "policy": "power-of-two",
      "to": "assign",
      "words": "sent to a (0 under way there)",
    },
    Object {
      "nodes": Array [
        "a",
      ],
      "policy": "warm-first",
      "to": "assign",
      "words": "sent to a (0 under way there)",
    },
    Object {
      "nodes": Array [
        "a",
      ],
      "policy": "prefer=b",
      "to": "assign",
      "words": "sent to a",
    },
    Object {
      "nodes": Array [],
      "policy": "avoid=a+b",
      "to": "wait",
      "words": "left waiting",
    },
  ],
]
`

exports[`test/gateway/hindsight.test.ts > TAP > what was decided meanwhile is told around the wait of a request, what changed the fleet first > must match snapshot 1`] = `
Array [
  Array [
    "a was registered",
    "",
  ],
  Array [
    "a answered for the first time",
    "",
  ],
  Array [
    "a had tiny:latest in memory",
    "",
  ],
  Array [
    "b was registered",
    "",
  ],
  Array [
    "b answered for the first time",
    "",
  ],
  Array [
    "b had tiny:latest in memory",
    "",
  ],
  Array [
    "c was registered",
    "",
  ],
  Array [
    "c answered for the first time",
    "",
  ],
  Array [
    "b had other:latest in memory",
    "",
  ],
  Array [
    "tiny:latest for ann was sent to a",
    "",
  ],
  Array [
    "other:latest for 127.0.0.1 was sent to b",
    "",
  ],
  Array [
    "tiny:latest for bob was sent to b",
    "",
  ],
  Array [
    "c was to get nothing new",
    "op",
  ],
]
`
