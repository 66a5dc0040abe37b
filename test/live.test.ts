/** Knobs that are turned while the house runs: what is set wins, what is not understood does not count. */
import t from 'tap'
import { knobNames, knobs, readConfig, shown } from '../src/config.ts'
import { isLive, liveConfig, liveKnob, readValue } from '../src/live.ts'

t.test('a live knob reads what is set by now; the others stay as the start had them', async t => {
  const start = readConfig({ 'queue-max': '100' }, {})
  const set = new Map<string, string>()
  const config = liveConfig(start, set)
  const { queueMax } = config
  t.same([queueMax, config.waitMaxMs, config.port], [100, 600_000, 11_435])
  set.set('queue-max', '64').set('wait-max', '90s').set('port', '1')
  t.same([config.queueMax, config.waitMaxMs, config.port], [64, 90_000, 11_435])
  set.set('queue-max', '65')
  t.equal(config.queueMax, 65)
  set.delete('queue-max')
  t.same([config.queueMax, start.queueMax], [100, 100])
  t.throws(() => Object.assign(config, { queueMax: 1 }), TypeError)
})

t.test('a text that is not understood is as if it were not set', async t => {
  const config = liveConfig(readConfig({}, {}), new Map([['queue-max', 'plenty']]))
  t.equal(config.queueMax, 512)
})

t.test('a value is written down in one way, however it was typed', async t => {
  t.equal(readValue('waitMaxMs', '60s'), '1m')
  t.equal(readValue('bodyMaxBytes', '1024K'), '1M')
  t.equal(readValue('queueMax', '064'), '64')
  t.throws(() => readValue('queueMax', '0'), {
    code: 'setting.invalid',
    message: /^queue-max: "0" is not a whole number from 1 to 100000 \(requests that may wait;/,
  })
  t.throws(() => readValue('probeMs', '1ms'), { code: 'setting.invalid', message: /"1ms" is less than 10ms/ })
})

t.test('what is written down is read as the same', async t => {
  for (const name of knobNames.filter(isLive)) {
    const text = shown(name, knobs[name].default)
    t.equal(readValue(name, text), text, name)
  }
})

t.test('a knob for the start only says how to turn it, and one that is not there is not found', async t => {
  t.equal(liveKnob('queue-max'), 'queueMax')
  t.throws(() => liveKnob('node'), {
    code: 'setting.fixed',
    message: /stop the house, and start it with --node or QUIPU_NODES\. What can be set .*: .*queue-max,/,
  })
  t.throws(() => liveKnob('queueMax'), { code: 'setting.unknown' })
})
