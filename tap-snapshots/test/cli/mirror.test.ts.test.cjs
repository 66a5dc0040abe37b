/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/mirror.test.ts > TAP > of a copy that lacks nothing there is little to say > must match snapshot 1`] = `
state    live, since 2026-01-31 09:05:07.250
topic    quipu.journal, partition 0, at kafka-a:9092, kafka-b:9092
journal  01M7YZH119Z62FQKEDVFCP11CT
there    up to fact 12345, of 12345
missing  nothing
sent     11,000 facts since the house began, over 7 connections

`

exports[`test/cli/mirror.test.ts > TAP > what the copy in Kafka lacks is told, since when, and why > must match snapshot 1`] = `
state    waiting, since 2026-01-31 09:05:07.250
topic    quipu.journal, partition 0, at kafka-a:9092, kafka-b:9092
journal  01M7YZH119Z62FQKEDVFCP11CT
there    up to fact 12000, of 12345
missing  345 facts, for 2 m 5 s
sent     11,000 facts since the house began, over 7 connections
trouble  Kafka cannot be reached: a broker does not answer (mirror.unreachable; 6 tries)
warning  quipu.journal forgets (retention.ms=604800000): from what it has lost, no journal can be restored

`
