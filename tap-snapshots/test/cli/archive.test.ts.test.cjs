/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/archive.test.ts > TAP > older facts go into files, which are listed and copied > must match snapshot 1`] = `
FILE                                 FACTS    SIZE   FROM                      TO                        DATABASE
000000000001-000000001500.quipu.gz   1,500   SIZE   TIME   TIME   has them, too
000000001501-000000002998.quipu.gz   1,498   SIZE   TIME   TIME   has them, too

2 files, SIZE, facts 1 to 2,998, in DIR/archive
copied to DIR/copies, and verified there

`
