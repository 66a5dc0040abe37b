/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/jobs.test.ts > TAP > jobs prints a table, and with --json what the house said > must match snapshot 1`] = `
ID                           CAME                  STATE       MODEL          CLIENT      PRIORITY   NODE    TRIES   ANSWER   END
01M7YZH119Z62FQKEDVFCP11CY   2026-01-31 09:05:07   completed   tiny:latest    lab                5   gpu-a       2   1.7 KB   200
01M7YZH119Z62FQKEDVFCP11CZ   2026-01-31 09:05:07   queued      embed:latest   127.0.0.1          9               0

`

exports[`test/cli/jobs.test.ts > TAP > jobs show tells how one stands > must match snapshot 1`] = `
job       01M7YZH119Z62FQKEDVFCP11CY
state     completed, 200
asked     /api/chat for tiny:latest, by lab, at 2026-01-31 09:05:07.250
priority  5, batch
tries     2, the last on gpu-a
ended     2026-01-31 09:07:12.250, after 2 m 5 s
answer    1,723 bytes
sha256    99d694e78ee7b0d3b2e1c0a5f4d3c2b1a09f8e7d6c5b4a392817060504030201
tokens    7 in, 1,020 out
callback  waiting after 2 tries (answered 503); the next try is due at 2026-01-31 09:08:12.250

`

exports[`test/cli/jobs.test.ts > TAP > jobs show tells how one stands > must match snapshot 2`] = `
job       01M7YZH119Z62FQKEDVFCP11CZ
state     queued
asked     /api/generate for embed:latest, by 127.0.0.1, at 2026-01-31 09:05:07.250
priority  9, interactive
deadline  2026-01-31 10:05:07.250
tries     0
callback  when it is over

`
