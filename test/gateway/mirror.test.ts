import t from 'tap'
import { doors } from '../../src/gateway/doors.ts'
import { misfits } from '../../src/gateway/schema/check.ts'
import { openDoors } from './doors.ts'

const status = {
  state: 'waiting',
  since: 5,
  partition: 2,
  mirrored: 40,
  lagFacts: 2,
  lagMs: 1_500,
  sent: 30,
  opened: 3,
  trouble: { code: 'mirror.unreachable', message: 'a broker does not answer', at: 7, tries: 2 },
  warnings: ['it forgets'],
} as const
const flags = { kafka: 'brokers=a+b:1,topic=t' }

t.test('the door tells how far the copy has come, where to, and what is in its way', async t => {
  const house = await openDoors(t, { flags, mirror: { status } })
  const answer = (await house.get('/quipu/mirror')).json()
  t.same(answer, { ...status, topic: 't', brokers: ['a:9092', 'b:1'], journal: 'memory', durable: 0 })
  t.same(misfits(doors.mirror.answer, answer), [])
  t.equal((await house.get('/quipu')).json().links.mirror, '/quipu/mirror')
})

t.test('without --kafka it says that there is none', async t => {
  const house = await openDoors(t)
  const answer = (await house.get('/quipu/mirror')).json()
  t.match(answer, { state: 'off', lagFacts: 0 })
  t.same(misfits(doors.mirror.answer, answer), [])
  t.notMatch((await house.get('/metrics')).payload, 'quipu_mirror')
})

t.test('its lag and its state are metrics', async t => {
  const house = await openDoors(t, { flags, mirror: { status } })
  const { payload } = await house.get('/metrics')
  for (const line of [
    'quipu_mirror_state{state="waiting"} 1',
    'quipu_mirror_state{state="live"} 0',
    'quipu_mirror_lag_facts 2',
    'quipu_mirror_lag_seconds 1.5',
    'quipu_mirror_sent_facts 30',
  ]) {
    t.match(payload, `${line}\n`)
  }
})

t.test('what is shown of the setting holds no secret, for there is none in it', async t => {
  const house = await openDoors(t, { flags: { kafka: 'brokers=a,sasl=plain,user=u,password-file=/run/p' } })
  const rows = (await house.get('/quipu/config')).json() as { name: string; value: string }[]
  t.equal(
    rows.find(({ name }) => name === 'kafka')?.value,
    'brokers=a:9092,topic=quipu.journal,sasl=plain,user=u,password-file=/run/p',
  )
})
