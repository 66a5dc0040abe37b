/** What the tables are made of is the journal's and nobody else's: a replay of the same facts gives the same. */
import t from 'tap'
import { quantileOf } from '../../src/projections/spread.ts'
import { yard } from '../scheduler/yard.ts'

t.test('settings, servers, usage, requests and traffic are the same after a replay', async t => {
  const records: string[] = []
  const y = yard(records)
  y.start()
  await y.node('a', ['m', 'n'], { resident: ['m'] })
  const found = {
    digest: 'd',
    sizeBytes: 1,
    family: '',
    parameterSize: '',
    quantization: '',
    capabilities: [],
  }
  await y.engine.dispatch('model', 'm', { type: 'model.find', data: found })
  await y.engine.dispatch('setting', 'queue-max', {
    type: 'setting.set',
    data: { value: '64', start: '512' },
    by: '127.0.0.1',
  })
  for (let i = 0; i < 5; i += 1) {
    await y.ask(`r${i}`, 'm')
    await y.done(`r${i}`, 700_000 * (i + 1))
  }
  await y.ask('gone', 'm')
  await y.engine.dispatch('request', 'gone', { type: 'request.cancel', data: {} })
  await y.engine.dispatch('setting', 'queue-max', { type: 'setting.reset', data: { start: '512' } })
  await y.ask('open', 'n')

  const again = yard(records)
  await again.engine.replay()
  const { settings, servers, usage, recent, traffic } = y
  t.equal(recent.state.over.length, 6)
  t.equal(traffic.state.spans.hour.size, 3)
  t.equal(usage.state.models.get('m')?.count, 5)
  t.same(again.settings.state, settings.state)
  t.same(again.servers.state, servers.state)
  t.same(again.usage.state, usage.state)
  t.same(again.recent.state, recent.state)
  t.same(again.traffic.state, traffic.state)
  const [span] = traffic.state.spans.day.values()
  const [same] = again.traffic.state.spans.day.values()
  t.equal(quantileOf(same!.latencies, 0.95), quantileOf(span!.latencies, 0.95))
})
