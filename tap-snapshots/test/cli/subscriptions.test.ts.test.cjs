/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/subscriptions.test.ts > TAP > it lists them with their lag, and says what to do about the parked ones > must match snapshot 1`] = `
NAME      STATE                    LAG   MARK   OUT   FACTS                    WEBHOOK
billing   active                12,345   4711     1   type=request.completed
mirror    failing (timeout)          7   4800     0   all                      https://mirror.example
pager     parked (status 503)      380   4343     0   kind=node,breaker        https://hooks.example

pager: when its receiver is well, quipu subscriptions resume pager

`

exports[`test/cli/subscriptions.test.ts > TAP > show tells all about one > must match snapshot 1`] = `
NAME      STATE       LAG   MARK   OUT   FACTS                    WEBHOOK
billing   active   12,345   4711     1   type=request.completed

made 2026-01-31 09:05:07.250 by 127.0.0.1, from fact 1 on

NAME     STATE               LAG   MARK   OUT   FACTS   WEBHOOK
mirror   failing (timeout)     7   4800     0   all     https://mirror.example

made 2026-01-31 09:05:07.250 by 127.0.0.1, from fact 4001 on
webhook: ndjson, not signed, a batch of 1,000 facts or after 5.0 s; parks after 20 failures in a row
2 failures in a row: timeout; tried again 2026-01-31 09:05:07.250

NAME    STATE                 LAG   MARK   OUT   FACTS               WEBHOOK
pager   parked (status 503)   380   4343     0   kind=node,breaker   https://hooks.example

made 2026-01-31 09:05:07.250 by 127.0.0.1, from fact 18 on
parked since 2026-01-31 09:05:07.250: status (503) after 20 failures in a row; quipu subscriptions resume pager
webhook: json, signed, a batch of 100 facts or after 1.0 s; parks after 20 failures in a row

`
