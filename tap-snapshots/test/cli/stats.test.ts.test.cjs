/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/stats.test.ts > TAP > alone it lists the tables, without a house: just those that a house has > must match snapshot 1`] = `
TABLE             WHAT IT HOLDS
servers           the servers: are they well, and what do they do?
models            the models: where they are, and how much they are used
server_stats      health, load and latency of each server over time, and its hardware where it has an agent
request_stats     requests by hour, day or week: how many, of which sort, how long
inference_queue   open requests, and those of the last day
config            what was set while the house ran: who, when, before, after

`

exports[`test/cli/stats.test.ts > TAP > config is printed as a table, and with --json as the house said it > must match snapshot 1`] = `
setting     who         when                       before   after
queue-max   127.0.0.1   2026-01-31T09:05:07.250Z   512      64

`

exports[`test/cli/stats.test.ts > TAP > inference_queue is printed as a table, and with --json as the house said it > must match snapshot 1`] = `
id                           model         status   priority   created_at                 started_at   completed_at   server_assigned   batch_id
01M7YZH119Z62FQKEDVFCP11CT   tiny:latest   queued          5   2026-01-31T09:05:07.250Z   -            -              -                 -

`

exports[`test/cli/stats.test.ts > TAP > models is printed as a table, and with --json as the house said it > must match snapshot 1`] = `
name          servers                                       size_gb   parameter_count   quantization   first_seen                 last_used   usage_count
tiny:latest   http://10.0.0.5:11434 http://10.0.0.6:11434     4.407        7200000000   Q4_K_M         2026-01-31T09:05:07.250Z   -                    12

`

exports[`test/cli/stats.test.ts > TAP > request_stats is printed as a table, and with --json as the house said it > must match snapshot 1`] = `
period   start                      total   generate   chat   embedding   completed   average_latency      p50       p95       p99   tokens   prompt_tokens   output_tokens   simulated
day      2026-01-31T00:00:00.000Z      40         12     20           8          39             812.5   701.12   2301.55   9120.01    12345            2345           10000          12

SIMULATED NODES: they had 12 of 40 requests, and the figures of those mean nothing.

`

exports[`test/cli/stats.test.ts > TAP > server_stats is printed as a table, and with --json as the house said it > must match snapshot 1`] = `
server                  timestamp                  type      value
http://10.0.0.5:11434   2026-01-31T09:05:07.250Z   load      1.333
http://10.0.0.5:11434   2026-01-31T09:05:07.250Z   latency      12

`

exports[`test/cli/stats.test.ts > TAP > servers is printed as a table, and with --json as the house said it > must match snapshot 1`] = `
address                 healthy   load   last_check                 first_seen                 hardware_info
http://10.0.0.5:11434   yes          2   2026-01-31T09:05:07.250Z   2026-01-31T09:05:07.250Z   -
http://10.0.0.6:11434   no           0   -                          2026-01-31T09:05:07.250Z   -

`

exports[`test/cli/stats.test.ts > TAP > where there is nothing, that is said > must match snapshot 1`] = `
No node is registered. Add one with: quipu nodes add http://HOST:11434
No node ever had a model.
There are no such samples. One is taken every 10 s.
No request is over yet.
There is no such request, open or of the last day.
Nothing was ever set while the house ran.

`
