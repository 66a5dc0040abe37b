/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/audit.test.ts > TAP > a whole journal passes, fact by fact, and nothing in its folder changes > must match snapshot 1`] = `
Every fact verifies, and every chart accepts it.

journal  DIR (ID)
facts    1,203 in TIME, SPEED
first    2026-01-31 09:05:07.250
last     2026-01-31 09:05:07.549
adds up  1 node, 1 model, 0 open requests
head     SEQ:HASH
signed   nothing has been signed

FACT                COUNT
model.found             1
node.joined             1
node.registered         1
request.admitted      300
request.assigned      300
request.begun         300
request.completed     300

`
