/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/serve.test.ts > TAP > serve says where it is, what it has, and loudly when the nodes are simulated > must match snapshot 1`] = `
Quipu VERSION

  address http://HOST:PORT
  journal  DIR, new; head SEQ:HASH
  nodes    three simulated ones, because none is configured and no Ollama answers

  sim-1 (simulated)   http://SIM   up         0.33.0 2
  sim-2 (simulated)   http://SIM   up         0.33.0 2
  sim-3 (simulated)   http://SIM   up         0.33.0 2

  SIMULATED NODES: answers are made up, by no model at all.
  Real ones: npm run -s quipu -- serve --node http://HOST:11434

Try:
  curl http://HOST:PORT/api/generate -d '{"model":"tiny:latest","prompt":"Why is the sky blue?"}'
  OLLAMA_HOST=HOST:PORT ollama run tiny:latest
  npm run -s quipu -- explain last --host HOST:PORT
  curl -N http://HOST:PORT/quipu/events
  npm run -s quipu -- nodes add http://HOST:11434 --host HOST:PORT


`
