/** A house on a disk of its own: what it signs, over restarts, without its key, and with a folder that was put back. */
import { cpSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { type House, openHouse } from '../../src/main.ts'
import { openCheckpoint } from '../../src/proofs/checkpoint.ts'
import { parseVkey } from '../../src/proofs/note.ts'
import { verifyConsistency, verifyInclusion } from '../../src/proofs/proof.ts'
import { dataFolder } from './world.ts'

async function open(t: Test, data: string): Promise<House> {
  const flags = { port: '0', embedded: 'off', log: 'silent', grace: '0ms', data }
  const house = await openHouse({
    config: readConfig(flags, { OLLAMA_HOST: '127.0.0.1:1' }),
    version: '0.0.0',
    onBug: error => t.fail('a bug', { error }),
  })
  t.teardown(() => house.close())
  return house
}

const text = async ({ url }: House, path: string): Promise<string> => (await fetch(url + path)).text()
const post = (house: House, path: string, body: object): Promise<Response> =>
  fetch(house.url + path, { method: 'POST', body: JSON.stringify(body) })
const register = (house: House, name: string): Promise<Response> =>
  post(house, '/quipu/nodes', { url: `http://127.0.0.1:${name.charCodeAt(0)}`, name })

t.test(
  'what a house signs is verified by whoever has its key, also after a restart and a rotation',
  async t => {
    const data = dataFolder(t)
    let house = await open(t, data)
    await register(house, 'a')
    const early = await text(house, '/quipu/checkpoint')
    const first = parseVkey(await text(house, '/quipu/checkpoint/key'))!
    const old = openCheckpoint(early, [first])
    t.equal(old.origin, `quipu/${house.journal.id}`)
    t.ok(old.size >= 1)
    await house.close()

    house = await open(t, data)
    t.equal((await text(house, '/quipu/checkpoint/key')).trim(), first.vkey)
    const rotated = await post(house, '/quipu/checkpoint/rotate', {})
    t.equal(rotated.status, 200)
    const second = parseVkey(((await rotated.json()) as { vkey: string }).vkey)!
    await register(house, 'b')
    const { durable } = house.journal
    const { entry, checkpoint } = verifyInclusion(
      await text(house, `/quipu/checkpoint/inclusion/${durable}`),
      [second],
    )
    t.equal(entry.seq, durable)
    t.ok(checkpoint.size >= durable)
    const since = await text(house, `/quipu/checkpoint/consistency/${old.size}`)
    t.equal(verifyConsistency(since, old, [second]).old, old.size)
    t.equal((await fetch(`${house.url}/quipu/checkpoint/inclusion/${durable + 9}`)).status, 404)
    t.equal((await fetch(`${house.url}/quipu/checkpoint/inclusion/0`)).status, 400)
    t.match(await text(house, '/metrics'), /^quipu_checkpoint_signing 1$/m)
  },
)

t.test(
  'without its key a house serves and signs nothing, until somebody says that the key is lost',
  async t => {
    const data = dataFolder(t)
    let house = await open(t, data)
    await house.close()
    rmSync(join(data, 'checkpoints', 'key'))
    house = await open(t, data)
    t.equal((await fetch(`${house.url}/quipu`)).status, 200)
    const refused = await fetch(`${house.url}/quipu/checkpoint`)
    t.equal(refused.status, 503)
    t.match(await refused.json(), { code: 'signer.missing', error: /quipu checkpoint rotate --lost/ })
    t.match(await text(house, '/metrics'), /^quipu_checkpoint_signing 0$/m)
    t.equal((await post(house, '/quipu/checkpoint/rotate', {})).status, 503)
    t.equal((await post(house, '/quipu/checkpoint/rotate', { lost: true })).status, 200)
    t.equal((await post(house, '/quipu/checkpoint/rotate', { lost: true })).status, 409)
    const key = parseVkey(await text(house, '/quipu/checkpoint/key'))!
    t.ok(openCheckpoint(await text(house, '/quipu/checkpoint'), [key]))
  },
)

t.test('a house whose journal was put back under its checkpoints does not start', async t => {
  const data = dataFolder(t)
  let house = await open(t, data)
  await house.close()
  const older = dataFolder(t)
  cpSync(data, older, { recursive: true })
  house = await open(t, data)
  await register(house, 'a')
  await house.close()
  const size = Number(readFileSync(join(data, 'checkpoints', 'latest'), 'utf8').split('\n')[1])
  cpSync(join(data, 'checkpoints'), join(older, 'checkpoints'), { recursive: true })
  const { code, message } = (await open(t, older).then(
    () => t.fail('it started'),
    (error: { code: string; message: string }) => error,
  )) as { code: string; message: string }
  t.equal(code, 'journal.gap')
  t.match(message, `it had come to fact ${size}`)
})
