/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/report/report.test.ts > TAP > an empty journal has a page, too > must match snapshot 1`] = `
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Audit of journal j1</title>

</head>
<body>
<header>
<h1>Audit report</h1>
<p class="sub">The journal is empty.</p>
</header>
<section class="verdict good">
<h2>The journal is whole</h2>
<p>Every one of 0 facts verifies: none is missing, none was altered, and each could stand where it stands.</p>

<p class="head">head <code>12:h</code></p>
</section>
<section class="tiles">
<div class="tile"><b>0</b><span>requests</span></div>
<div class="tile"><b>–</b><span>completed</span></div>
<div class="tile"><b>–</b><span>median wait</span></div>
<div class="tile"><b>–</b><span>wait, 95 of 100</span></div>
<div class="tile"><b>0</b><span>tokens</span></div>
<div class="tile"><b>0</b><span>retries</span></div>
<div class="tile"><b>0</b><span>turned away</span></div>
</section>
<section>
<h2>What ended when</h2>
<p class="note">No request has ended.</p>
</section>
<section>
<h2>By client</h2>
<p class="note">There is none.</p>
</section>
<section>
<h2>By model</h2>
<p class="note">There is none.</p>
</section>
<section>
<h2>By node</h2>
<p class="note">There is none.</p>
</section>
<section>
<h2>Turned away</h2>
<p class="note">Counted once a minute; a refusal itself is not stored. docs/errors.md has the codes.</p><p class="note">Nobody was, as far as the journal tells.</p>
</section>
<section>
<h2>Who asked for what</h2>
<p class="note">Facts by who asked for them. What the house decided by itself has nobody.</p><p class="note">Nobody asked for anything.</p>
</section>
<section>
<h2>What was done to the house</h2>
<p class="note">Nothing was.</p>
</section>
<section>
<h2>Facts</h2>
<p class="note">There is none.</p>
</section>
<footer>
<p>Made of journal <code>j1</code> up to fact 0. The same facts make the same page, byte for byte.</p>
</footer>
</body>
</html>

`
