/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/erase.test.ts > TAP > a house that runs on the folder is asked to > must match snapshot 1`] = `
REQUEST   PARTS             SIZE   KEY         FILES           KEY FOUND IN
ada1      body answer-1   8.2 KB   another's   1, 0 readable   no file

`

exports[`test/cli/erase.test.ts > TAP > erases and proves what is kept of a client, and writes it down > must match snapshot 1`] = `
REQUEST   PARTS             SIZE   KEY     FILES   KEY FOUND IN
ada1      answer-1 body   8.2 KB   zeros   gone    no file
ada2      body            4.1 KB   zeros   gone    no file

2 requests erased, 12 KB.

`
