/** A house that is started again: what it knows, and from what. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { type House, openHouse } from '../../src/main.ts'
import { startSim } from '../../src/sim/sim.ts'
import { dataFolder } from './world.ts'

/** Where `node` is given, it is registered; later starts know it from the journal. */
async function open(t: Test, data: string, flags: Record<string, string> = {}): Promise<House> {
  const given = { port: '0', embedded: 'off', log: 'silent', grace: '0ms', data, ...flags }
  return openHouse({
    config: readConfig(given, {}),
    version: '0',
    onBug: error => t.fail('a bug', { error }),
  })
}

const ask = async (house: House, path: string): Promise<any> => (await fetch(house.url + path)).json()

t.test('a house starts from what it knew when it stopped, and knows the same', async t => {
  const sim = await startSim({ name: 'n1', loadMs: 5, prefillTps: 1e6, decodeTps: 5_000, words: 4 })
  t.teardown(() => sim.close())
  const data = dataFolder(t)
  const first = await open(t, data, { node: `${sim.url},name=n1` })
  t.same([first.facts, first.snapshotSeq], [0, 0])
  for (let i = 0; i < 5; i += 1) {
    const body = JSON.stringify({ model: 'tiny', prompt: 'x', stream: false })
    t.equal((await fetch(`${first.url}/api/generate`, { method: 'POST', body })).status, 200)
  }
  await fetch(`${first.url}/quipu/config/queue-max`, {
    method: 'PUT',
    body: '{"value":"77"}',
    headers: { 'content-type': 'application/json' },
  })
  await first.engine.settled()
  const seen = async (house: House): Promise<object> => ({
    requests: await ask(house, '/quipu/requests'),
    history: await ask(house, '/quipu/config/history'),
    usage: (await ask(house, '/quipu/models')).map(({ name, digest }: any) => [name, digest]),
    estimates: (await ask(house, '/quipu/models')).flatMap(({ nodes }: any) =>
      nodes.map((n: any) => [n.loadMs, n.runMs]),
    ),
  })
  const before = await seen(first)
  await first.close()

  const second = await open(t, data)
  t.ok(second.facts > 20)
  t.equal(second.snapshotSeq, second.facts, 'nothing was left to replay')
  t.same(await seen(second), before)
  t.equal(second.config.queueMax, 77)
  await second.close()

  const slow = await open(t, data, { 'snapshot-every': '0' })
  t.equal(slow.snapshotSeq, 0)
  t.same(await seen(slow), before)
  await slow.close()

  const folder = join(data, 'snapshots')
  for (const name of readdirSync(folder)) writeFileSync(join(folder, name), 'nonsense')
  const third = await open(t, data)
  t.equal(third.snapshotSeq, 0, 'one that is damaged is left aside')
  t.same(await seen(third), before)
  await third.close()
  rmSync(folder, { recursive: true })
  const fourth = await open(t, data)
  t.same(await seen(fourth), before)
  await fourth.close()
})
