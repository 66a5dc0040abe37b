/** What becomes of a request under a policy: its body to the byte, how it is routed, and what a load for it carries. */
import t from 'tap'
import type { PolicyData } from '../../machines/policy.ts'
import { amend, variantFor } from '../../src/gateway/amend.ts'
import { keepAliveSeconds } from '../../src/gateway/keepalive.ts'
import { peek } from '../../src/gateway/peek.ts'

const GENERATE = '/api/generate'

async function under(policy: PolicyData, text: string | Buffer, route = GENERATE) {
  const body = Buffer.from(text)
  const peeked = await peek(route, body, {})
  const amended = await amend({ route, body, peeked }, policy)
  if ('refused' in amended) return { status: amended.refused.status, text: amended.refused.message }
  return { ...amended, same: amended.body === body, text: amended.body.toString() }
}

t.test('a locked length and time are put in where there are none, and in place of others', async t => {
  const lock = { numCtx: 8_192, keepAliveS: 300 }
  for (const [text, sent] of [
    ['{"model":"a"}', '{"options":{"num_ctx":8192},"keep_alive":300,"model":"a"}'],
    ['\n{ "model":"a" }', '\n{"options":{"num_ctx":8192},"keep_alive":300, "model":"a" }'],
    [
      '{"model":"a","options":{"temperature":1.0},"keep_alive":"1h"}',
      '{"model":"a","options":{"num_ctx":8192,"temperature":1.0},"keep_alive":300}',
    ],
    [
      '{"model":"a","options":{ },"keep_alive":null }x',
      '{"model":"a","options":{"num_ctx":8192 },"keep_alive":300 }x',
    ],
    [
      '{"options":null,"model":"a","keep_alive":-1\n}',
      '{"options":{"num_ctx":8192},"model":"a","keep_alive":300\n}',
    ],
    [
      '{"model":"a","OPTIONS":{"num_ctx" : 512 , "seed":9007199254740993},"Keep_Alive":0,"prompt":"x"}',
      '{"model":"a","OPTIONS":{"num_ctx" : 8192 , "seed":9007199254740993},"Keep_Alive":300,"prompt":"x"}',
    ],
    [
      '{"model":"a","option\\u0073":{"num\\u005fctx":"8192"},"\u212aeep_alive":true}',
      '{"model":"a","option\\u0073":{"num\\u005fctx":8192},"\u212aeep_alive":300}',
    ],
    [
      '{"model":"a","option\u017f":{"NUM_CTX":512},"keep_alive":{}}',
      '{"model":"a","option\u017f":{"num_ctx":8192,"NUM_CTX":512},"keep_alive":300}',
    ],
    [
      '{"model":"a","messages":[{"options":{"num_ctx":1},"keep_alive":1}],"options":{"num_ctx":null},"keep_alive":[]}',
      '{"model":"a","messages":[{"options":{"num_ctx":1},"keep_alive":1}],"options":{"num_ctx":8192},"keep_alive":300}',
    ],
  ] as const) {
    const amended = await under(lock, text)
    t.equal(amended.text, sent)
    t.same('variant' in amended && [amended.variant, amended.keepAlive], ['num_ctx=8192', 300], text)
  }
})

t.test('what is as the policy wants it, and what the policy does not speak of, is sent as it is', async t => {
  for (const [policy, text] of [
    [{ numCtx: 8_192, keepAliveS: 300 }, '{"model":"a","options":{"num_ctx":8192.0},"keep_alive":3e2}'],
    [{ nodes: ['n'] }, '{"model":"a","options":{"num_ctx":1},"options":{},"keep_alive":-1}'],
    [{ numCtx: 8_192 }, '{"model":"a","keep_alive":1,"keep_alive":2,"options":{"num_ctx":8192}}'],
    [{ keepAliveS: 300 }, '{"model":"a","options":{"num_ctx":1},"options":{},"keep_alive":300}'],
    [{ numCtxMax: 8_192, keepAliveMaxS: 300 }, '{"model":"a"}'],
    [{ numCtxMax: 8_192 }, '{"model":"a","options":{"num_ctx":"99999"}}'],
    [{ numCtx: 8_192 }, '{"model":"a","options":[1]}'],
    [{ numCtx: 8_192 }, '{"model":"a","options":{"num_ctx"}}'],
  ] as const)
    t.equal(((await under(policy, text)) as { same?: boolean }).same, true, text)
})

t.test('a longest length and time are not gone beyond', async t => {
  const cap = { numCtxMax: 8_192, keepAliveMaxS: 300 }
  const body = (numCtx: string, keepAlive: string) =>
    `{"model":"a","options":{"num_ctx":${numCtx}},"keep_alive":${keepAlive}}`
  const long = `${'0'.repeat(80)}1h`
  for (const [numCtx, keepAlive, ...sent] of [
    ['8192', '300', '8192', '300'],
    ['8193', '300.1', '8192', '300'],
    ['1e9', '"5m0.1s"', '8192', '300'],
    ['8192.5', '"1h"', '8192', '300'],
    ['null', 'null', 'null', 'null'],
    ['-1', '-1', '-1', '300'],
    ['4', '"-1ms"', '4', '300'],
    ['"x"', '"5 minutes"', '"x"', '"5 minutes"'],
    ['{}', '0', '{}', '0'],
    ['9'.repeat(400), `"${long}"`, '8192', '300'],
    [`5${' '.repeat(100)}`, `5${' '.repeat(100)}`, `5${' '.repeat(100)}`, `5${' '.repeat(100)}`],
  ] as const)
    t.equal((await under(cap, body(numCtx, keepAlive))).text, body(sent[0], sent[1]), body(numCtx, keepAlive))
  t.match(await under(cap, body('9000', '"30s"')), { variant: 'num_ctx=8192', keepAlive: '30s' })
  t.match(await under(cap, body('4096', '"2h"')), { variant: 'num_ctx=4096', keepAlive: 300 })
})

t.test('a body that says twice what a policy speaks of is refused', async t => {
  for (const [policy, text] of [
    [{ numCtx: 1_024 }, '{"model":"a","options":{},"options":{}}'],
    [{ numCtxMax: 1_024 }, '{"model":"a","options":{"num_ctx":1},"Option\\u0073":null}'],
    [{ numCtx: 1_024 }, '{"model":"a","options":{"num_ctx":1,"num\\u005fctx":2}}'],
    [{ keepAliveS: 1 }, '{"model":"a","keep_alive":1,"KEEP_ALIVE":2}'],
    [{ keepAliveMaxS: 1 }, '{"model":"a","keep_alive":null,"\u212aeep_alive":null}'],
  ] as const)
    t.match(await under(policy, text), { status: 400, text: /twice/ }, text)
})

t.test('nobody unloads a model whose time is locked, unless it is locked to nothing', async t => {
  const unload = '{"model":"a","keep_alive":0}'
  t.match(await under({ keepAliveS: 300 }, unload), { status: 403, text: /no request unloads it/ })
  t.match(await under({ keepAliveS: -1 }, unload), { status: 403 })
  t.match(await under({ keepAliveS: 0 }, unload), { same: true })
  t.match(await under({ keepAliveMaxS: 300, numCtxMax: 512 }, unload), { same: true })
})

t.test('bodies of /v1 pass as they are; only a load for them is told how long', async t => {
  const text = '{"model":"a","options":{"num_ctx":1},"keep_alive":-1,"keep_alive":0}'
  for (const route of ['/v1/chat/completions', '/v1/messages', '/v1/embeddings']) {
    t.match(await under({ numCtx: 8_192, keepAliveS: 300 }, text, route), {
      same: true,
      variant: '',
      keepAlive: 300,
    })
    t.notOk(
      'keepAlive' in (await under({ keepAliveMaxS: 300 }, text, route)),
      'the client has asked for nothing',
    )
  }
})

t.test('without a policy a request is routed by its own options', async t => {
  const body = Buffer.from('{"model":"a","options":{"num_ctx":512,"num_gpu":-1},"keep_alive":"1h"}')
  const peeked = await peek(GENERATE, body, {})
  const amended = await amend({ route: GENERATE, body, peeked }, undefined)
  t.match(amended, { body, variant: 'num_ctx=512', keepAlive: '1h' })
  t.equal(variantFor(GENERATE, peeked, undefined), 'num_ctx=512')
  t.equal(variantFor(GENERATE, peeked, { numCtx: 1_024 }), 'num_ctx=1024')
  t.equal(variantFor('/v1/completions', peeked, { numCtx: 1_024 }), '')
})

t.test('whatever else is in a body, not another byte of it changes', async t => {
  const seed = Date.now() % 100_000
  let state = seed
  const chance = (n: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((state / 2_147_483_648) * n)
  }
  const of = <T>(...all: readonly T[]): T => all[chance(all.length)]!
  const blank = (): string => of('', '', ' ', '\n\t', '  ')
  const value = (depth = 0): string => {
    const kind = chance(depth > 3 ? 3 : 5)
    if (kind === 0) return of('1.0', '-0', '1E+2', 'true', 'null', '12345678901234567890')
    if (kind < 3) {
      const text = Array.from({ length: chance(90) }, () =>
        of('"', '\\', '{', '}', '[', ',', ':', 'a', '€', '\n'),
      )
      return JSON.stringify(text.join(''))
    }
    const items = Array.from(
      { length: chance(4) },
      (_, i) => (kind === 3 ? '' : `"${i}":`) + value(depth + 1),
    )
    return `${kind === 3 ? '[' : '{'}${blank()}${items.join(',')}${kind === 3 ? ']' : '}'}`
  }
  const object = (...parts: readonly string[]): string =>
    `{${blank()}${parts
      .map(part => [chance(9), part] as const)
      .sort(([a], [b]) => a - b)
      .map(([, part]) => part + blank())
      .join(`,${blank()}`)}}`
  const field = (name: string, held: string): string => `"${name}"${blank()}:${blank()}${held}`
  const lock = { numCtx: 8_192, keepAliveS: 300 }
  for (let round = 0; round < 300; round += 1) {
    const [CTX, STAY] = ['\u0001', '\u0002']
    const inner = object(field('num_ctx', CTX), field('a', value()), field('num_ctx ', value()))
    const template = object(
      field('model', '"m"'),
      field('options', inner),
      field(of('keep_alive', 'Keep_Alive', 'keep\\u005Falive'), STAY),
      field('messages', value()),
      field('prompt', value()),
    )
    const filled = (ctx: string, stay: string): string => template.replace(CTX, ctx).replace(STAY, stay)
    const amended = await under(
      lock,
      filled(of('1', 'null', '"x"', '1.5e3'), of('"5m"', '-1', 'null', '0.5')),
    )
    if (amended.text !== filled('8192', '300')) t.fail(`seed ${seed}: ${JSON.stringify(template)}`)
  }
  t.pass(`seed ${seed}`)
})

t.test('a keep_alive is read as Go reads it', async t => {
  for (const [value, seconds] of [
    [0, 0],
    [1.5, 1.5],
    [-0.1, Number.POSITIVE_INFINITY],
    ['0', 0],
    ['-0', 0],
    ['5m', 300],
    ['1h30m', 5_400],
    ['1.5h', 5_400],
    ['.5s', 0.5],
    ['+2s', 2],
    ['1500ms', 1.5],
    ['-1ns', Number.POSITIVE_INFINITY],
    ...['', '5', '5 m', '5d', 'm', '1h30', '00', '1e3s', '3000000h', null, true, [], {}].map(
      bad => [bad, undefined] as const,
    ),
  ] as const)
    t.equal(keepAliveSeconds(value), seconds, JSON.stringify(value))
})
