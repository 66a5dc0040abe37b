import t from 'tap'
import { agent } from '../../machines/agent.ts'
import { given } from './given.ts'

const at = 1_000
const HOUR = 3_600_000
const DAY = 24 * HOUR
const invited = { type: 'agent.invited', at, data: { tokenHash: 'h', until: at + HOUR } } as const
const first = { serial: 'A1', fingerprint: 'f1', until: at + 30 * DAY } as const
const next = { serial: 'A2', fingerprint: 'f2', until: at + 50 * DAY } as const
const joined = { type: 'agent.joined', at, data: first } as const
const renewed = {
  type: 'agent.renewed',
  at: at + 20 * DAY,
  data: { ...next, before: 'A1', beforeUntil: at + 20 * DAY + HOUR },
} as const
const revoked = { type: 'agent.revoked', at, data: { reason: 'stolen' } } as const
const invite = (tokenHash: string) =>
  ({ type: 'agent.invite', at, data: { tokenHash, until: at + HOUR } }) as const
const join = (tokenHash: string, when = at) =>
  ({ type: 'agent.join', at: when, data: { tokenHash, ...first } }) as const
const renew = (before: string, when = at) =>
  ({ type: 'agent.renew', at: when, data: { ...next, before } }) as const
const revoke = { type: 'agent.revoke', at, data: { reason: 'stolen' } } as const

t.test('a token is good for one certificate, for as long as it lasts', async t => {
  given(t, agent)
    .when(invite('h'))
    .answers([{ type: 'agent.invited', data: { tokenHash: 'h', until: at + HOUR } }], 'invited')
  given(t, agent, invited)
    .when(join('h'))
    .answers([{ type: 'agent.joined', data: first }], 'trusted')
  given(t, agent, invited, joined).when(join('h')).refuses('agent.token-used')
  given(t, agent, invited)
    .when(join('h', at + HOUR))
    .refuses('agent.token-expired')
  given(t, agent, invited).when(join('x')).refuses('agent.token-wrong')
  given(t, agent).when(join('h')).refuses('agent.token-wrong')
})

t.test('the last token is the one that counts', async t => {
  const again = { ...invited, data: { ...invited.data, tokenHash: 'g' } }
  given(t, agent, invited, again).when(join('h')).refuses('agent.token-wrong')
  given(t, agent, invited, again)
    .when(join('g'))
    .answers([{ type: 'agent.joined', data: first }], 'trusted')
})

t.test('who is trusted and invited again keeps its certificate until it has another', async t => {
  const rejoining = given(t, agent, invited, joined, {
    ...invited,
    data: { tokenHash: 'g', until: at + HOUR },
  })
  t.equal(rejoining.state.value, 'rejoining')
  t.equal(rejoining.state.context.certificate?.serial, 'A1')
  rejoining
    .when(renew('A1'))
    .answers(
      [{ type: 'agent.renewed', data: { ...next, before: 'A1', beforeUntil: at + HOUR } }],
      'rejoining',
    )
  rejoining
    .when({ ...join('g'), data: { tokenHash: 'g', ...next } })
    .answers([{ type: 'agent.joined', data: next }], 'trusted')
  const back = { ...joined, data: next }
  given(t, agent, invited, joined, invited, back).when(renew('A1')).refuses('agent.outdated')
})

t.test('a certificate is renewed for the present one, before that ends', async t => {
  given(t, agent, invited, joined)
    .when(renew('A1', at + 20 * DAY))
    .answers([{ type: 'agent.renewed', data: renewed.data }], 'trusted')
  given(t, agent, invited, joined)
    .when(renew('A1', at + 30 * DAY))
    .refuses('agent.expired')
  given(t, agent, invited, joined).when(renew('B7')).refuses('agent.outdated')
  given(t, agent, invited).when(renew('A1')).refuses('agent.unknown')
  given(t, agent).when(renew('A1')).refuses('agent.unknown')
})

t.test('nothing is taken beyond its own end for being the one before', async t => {
  const late = first.until - 1_000
  given(t, agent, invited, joined)
    .when(renew('A1', late))
    .answers(
      [{ type: 'agent.renewed', data: { ...next, before: 'A1', beforeUntil: first.until } }],
      'trusted',
    )
})

t.test('an agent whose answer was lost renews with the one before, for an hour', async t => {
  const lost = given(t, agent, invited, joined, renewed)
  const third = { serial: 'A3', fingerprint: 'f3', until: at + 50 * DAY, before: 'A1' }
  lost
    .when({ type: 'agent.renew', at: renewed.at + HOUR - 1, data: third })
    .answers(
      [{ type: 'agent.renewed', data: { ...third, beforeUntil: renewed.data.beforeUntil } }],
      'trusted',
    )
  lost.when({ type: 'agent.renew', at: renewed.at + HOUR, data: third }).refuses('agent.outdated')
})

t.test(
  'whoever was invited can be revoked, at any time, and then nothing helps but another token',
  async t => {
    for (const facts of [
      [invited],
      [invited, joined],
      [invited, joined, invited],
      [invited, joined, renewed],
    ]) {
      given(t, agent, ...facts)
        .when(revoke)
        .answers([{ type: 'agent.revoked', data: { reason: 'stolen' } }], 'revoked')
    }
    given(t, agent, invited, joined, revoked).when(revoke).answers([], 'revoked')
    given(t, agent).when(revoke).refuses('agent.none')
    given(t, agent, invited, joined, revoked).when(renew('A1')).refuses('agent.revoked')
    given(t, agent, invited, revoked).when(join('h')).refuses('agent.token-wrong')
    given(t, agent, invited, joined, revoked)
      .when(invite('g'))
      .answers([{ type: 'agent.invited', data: { tokenHash: 'g', until: at + HOUR } }], 'invited')
  },
)
