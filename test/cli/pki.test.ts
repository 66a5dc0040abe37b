/** `quipu pki` and `quipu agent join`: from nothing to an agent that is known, and away again. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { joinHouse } from '../../src/agent/join.ts'
import { systemClock } from '../../src/clock.ts'
import { simOf } from '../agent/beside.ts'
import { dataFolder, world } from '../house/world.ts'
import { fakeHouse } from './house.ts'
import { run, start } from './terminal.ts'

t.test('an agent is invited, joins, attaches, and is sent away', async t => {
  const [data, home] = [dataFolder(t), join(dataFolder(t), 'agent')]
  const made = await run(t, ['pki', 'init', '--data', data])
  t.same([made.code, made.err], [0, ''])
  t.match(made.out, /made +.*pki\/certificate\n.*key.*\nfingerprint +[\w-]{43}\nuntil/)
  const key = readFileSync(join(data, 'pki', 'key'), 'utf8').split('\n')[1]!
  t.notOk(made.out.includes(key))

  const again = await run(t, ['pki', 'init', '--data', data])
  t.equal(again.code, 1)
  t.match(again.err, /is there already.*not written over/)

  const w = await world(t, { sims: [], flags: { agents: '127.0.0.1:0', data } })
  const env = { QUIPU_PORT: String(w.house.port) }
  t.match((await run(t, ['pki'], env)).out, /No agent was invited yet/)
  const invited = await run(t, ['pki', 'invite', 'gpu-1', '--ttl', '10m'], env)
  t.equal(invited.code, 0, invited.err)
  const [line = ''] = /quipu (agent join --house \S+ --token \S+)/.exec(invited.out)?.slice(1) ?? []
  const token = line.split(' ').at(-1)!
  t.equal(line, `agent join --house ${w.house.agents} --token ${token}`)

  const nowhere = await run(t, [...line.split(' '), '--data', join(data, 'pki', 'key', 'agent')])
  t.match([nowhere.code, nowhere.err], [1, /cannot be written/], 'and the token is as good as before')
  const joined = await run(t, [...line.split(' '), '--data', home])
  t.same([joined.code, joined.err], [0, ''])
  t.match(joined.out, /This is gpu-1 now.*runs already.*start it anew/s)
  t.same(readdirSync(home).sort(), ['house', 'identity.pem'])
  t.equal(statSync(join(home, 'identity.pem')).mode & 0o777, 0o600)

  const replayed = await run(t, [...line.split(' '), '--data', `${home}2`])
  t.same([replayed.code, existsSync(`${home}2`)], [1, false])
  t.match(replayed.err, /this token has been used/)
  const odd = await run(t, ['agent', 'join', '--house', w.house.agents!, '--token', 'shh', '--data', home])
  t.equal(odd.code, 1)
  t.match(odd.err, /that is no token/)

  const sim = await simOf(t)
  const agent = start(t, ['agent', '--data', home, '--ollama', sim.url])
  await w.fact('node.joined', ({ id }) => id === 'gpu-1')
  t.equal((await w.generate()).status, 200)
  const astray = await run(t, ['agent', '--data', home, '--house', '127.0.0.1', '--ollama', sim.url])
  t.match([astray.code, astray.err], [1, /"127\.0\.0\.1" is not HOST:PORT/])
  const listed = await run(t, ['pki', 'ls', '--json'], env)
  t.match(JSON.parse(listed.out), [{ node: 'gpu-1', state: 'trusted' }])
  t.match((await run(t, ['pki'], env)).out, /gpu-1 +trusted/)

  const revoked = await run(t, ['pki', 'revoke', 'gpu-1', '--reason', 'sold'], env)
  t.match([revoked.code, revoked.out], [0, /sent away/])
  await w.fact('node.lost', ({ id }) => id === 'gpu-1')
  t.match((await run(t, ['pki'], env)).out, /gpu-1 +revoked \(sold\)/)
  t.match(await run(t, ['pki', 'revoke', 'gpu-2'], env), {
    code: 1,
    err: /no agent of gpu-2 was ever invited/,
  })
  agent.child.kill('SIGINT')
  const { out, err } = await agent.ended
  t.match(err, /attached to .*not attached to .*was sent away; it must be invited again/s)

  const texts = [made, again, joined, replayed, odd, listed, revoked, { out, err }].map(
    ({ out, err }) => out + err,
  )
  texts.push(JSON.stringify(await w.facts()))
  const own = readFileSync(join(home, 'identity.pem'), 'utf8').split('\n')[1]!
  for (const secret of [key, own, token, token.slice(6, 28)]) {
    for (const text of texts) t.notOk(text.includes(secret))
  }
})

t.test('a house that tells all it does in its log tells no token and no key', async t => {
  const data = dataFolder(t)
  await run(t, ['pki', 'init', '--data', data])
  const flags = ['--port', '0', '--agents', '127.0.0.1:0', '--embedded', 'off', '--log', 'debug']
  const house = start(t, ['serve', '--data', data, ...flags])
  const [url = ''] = /http:\/\/127\.0\.0\.1:\d+/.exec(await house.saw(/http:\/\/127\.0\.0\.1:\d+/)) ?? []
  const res = await fetch(`${url}/quipu/agents`, { method: 'POST', body: '{"node":"a"}' })
  const invited = (await res.json()) as { token: string; house: string }
  const { identity } = await joinHouse(systemClock, invited.house, invited.token)
  await joinHouse(systemClock, invited.house, invited.token).catch(() => {})
  await fetch(`${url}/quipu/agents`, { method: 'POST', body: `{"node":"${invited.token}"}` })
  house.child.kill('SIGINT')
  const { out, err } = await house.ended
  const key = readFileSync(join(data, 'pki', 'key'), 'utf8').split('\n')[1]!
  for (const secret of [invited.token, invited.token.slice(6, 28), key, identity.key.split('\n')[1]!]) {
    t.notOk((out + err).includes(secret))
  }
})

t.test('an agent that has joined no house says what to do', async t => {
  const { code, err } = await run(t, ['agent', '--data', join(dataFolder(t), 'none')])
  t.equal(code, 1)
  t.match(err, /joined no house\. On the house, run: quipu pki invite NODE/)
})

t.test('a house that listens at every address is named as it was reached', async t => {
  const until = Date.now() + 3_600_000
  const invited = { node: 'a', token: 'quipu-t', until, house: '0.0.0.0:11436' }
  const house = await fakeHouse(t, { 'POST /quipu/agents': invited })
  const { out } = await run(t, ['pki', 'invite', 'a', '--ttl', '2h', '--json'], house.env)
  t.match(JSON.parse(out), { node: 'a', token: 'quipu-t', house: /^[^.:][^:]*:11436$/ })
  t.notMatch(JSON.parse(out).house, /^(0\.0\.0\.0|127)/)
  t.same(JSON.parse(house.asked[0]!.body), { node: 'a', ttlMs: 7_200_000 })
})

t.test('what is typed wrongly says so', async t => {
  for (const [args, says] of [
    [['pki', 'frobnicate'], /not something to do with pki/],
    [['pki', 'invite'], /pki invite needs NODE/],
    [['pki', 'ls', 'a'], /one word too many/],
    [['pki', 'ls', '--ttl', '1h'], /--ttl goes with pki invite/],
    [['pki', 'revoke', 'a', '--data', 'x'], /--data goes with pki init/],
    [['pki', 'invite', 'a', '--ttl', 'soon'], /--ttl: .*not a duration/],
    [['agent', 'join', '--house', 'a:1'], /needs --house HOST:PORT and --token T/],
    [['agent', '--token', 'x'], /--token goes with agent join/],
  ] as const) {
    const { code, err } = await run(t, args)
    t.equal(code, 2, args.join(' '))
    t.match(err, says)
  }
})
