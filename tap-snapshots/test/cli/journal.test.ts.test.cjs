/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/journal.test.ts > TAP > events goes on where it was when the connection breaks, and ends well at Ctrl-C > must match snapshot 1`] = `
2026-01-31 09:03:37.250       23  node.registered    gpu-a  url=http://10.0.0.5:11434 slots=1 residentMax=3 labels={"a":"b c"} origin=flag  by=start
2026-01-31 09:05:07.250       25  request.admitted   01M7YZH119Z62FQKEDVFCP11CT  path=/api/generate model=tiny:latest client=127.0.0.1 priority=5 bodyBytes=52 expiresAt=1769850907250 attemptsMax=3
2026-01-31 09:05:07.251       26  request.assigned   01M7YZH119Z62FQKEDVFCP11CT  node=gpu-b attempt=1 candidates=2

`

exports[`test/cli/journal.test.ts > TAP > journal prints the last facts > must match snapshot 1`] = `
2026-01-31 09:03:37.250       23  node.registered    gpu-a  url=http://10.0.0.5:11434 slots=1 residentMax=3 labels={"a":"b c"} origin=flag  by=start
2026-01-31 09:03:47.250       24  replica.found      tiny:latest@gpu-a  digest=99d694e78ee7 sizeBytes=1
2026-01-31 09:05:07.250       25  request.admitted   01M7YZH119Z62FQKEDVFCP11CT  path=/api/generate model=tiny:latest client=127.0.0.1 priority=5 bodyBytes=52 expiresAt=1769850907250 attemptsMax=3
2026-01-31 09:05:07.251       26  request.assigned   01M7YZH119Z62FQKEDVFCP11CT  node=gpu-b attempt=1 candidates=2
2026-01-31 09:05:07.259       27  request.retried    01M7YZH119Z62FQKEDVFCP11CT  node=gpu-b reason=refused
2026-01-31 09:05:07.561       28  request.assigned   01M7YZH119Z62FQKEDVFCP11CT  node=gpu-a attempt=2 candidates=2
2026-01-31 09:05:08.108       29  request.begun      01M7YZH119Z62FQKEDVFCP11CT  node=gpu-a status=200 ttftMs=858
2026-01-31 09:05:09.112       30  request.completed  01M7YZH119Z62FQKEDVFCP11CT  (forgotten)

`
