import t from 'tap'
import { kafkaSpec, kafkaText } from '../src/brokers.ts'
import { readConfig, shown } from '../src/config.ts'

t.test('a Kafka is where it is said to be', async t => {
  t.same(kafkaSpec('brokers=a'), { brokers: ['a:9092'], topic: 'quipu.journal' })
  const text =
    'brokers=a:1+b.lan:9093,topic=t-1,sasl=scram-sha-512,user=quipu,password-file=/run/p,ca=/etc/ca.pem,cert=c,key=k,ssl'
  t.same(kafkaSpec(text), {
    brokers: ['a:1', 'b.lan:9093'],
    topic: 't-1',
    sasl: { mechanism: 'scram-sha-512', user: 'quipu', passwordFile: '/run/p' },
    ssl: { ca: '/etc/ca.pem', cert: 'c', key: 'k' },
  })
  t.equal(kafkaText(kafkaSpec(text)), text, 'and it is shown as it could be typed')
  t.same(kafkaSpec('brokers=a,ssl').ssl, {})
})

t.test('what is wrong is said, and what could be a secret is not repeated', async t => {
  for (const [text, why] of [
    ['topic=x', /brokers=HOST:PORT is missing/],
    ['brokers=a:70000', /"a:70000" is not a broker/],
    ['brokers=[::1]:9092', /an IPv6 address needs a name/],
    ['brokers=a,topic=ü', /is not a topic/],
    ['brokers=a,topic=..', /is not a topic/],
    ['brokers=a,brokers=b', /is there twice; several brokers have \+ between/],
    ['brokers=a,sasl=plain', /needs user=/],
    ['brokers=a,sasl=gssapi,user=u', /sasl is one of plain, scram-sha-256, scram-sha-512/],
    ['brokers=a,user=u', /go with sasl=/],
    ['brokers=a,cert=c', /cert and key go together/],
    ['brokers=a,ssl=on', /ssl is given as ssl/],
    ['brokers=a,topic', /topic is given as topic=/],
    ['brokers=a,ca=', /ca must not be empty/],
    ['brokers=a,colour=red', /"colour" is not one of brokers=/],
  ] as const) {
    t.throws(() => kafkaSpec(text), { message: why }, text)
  }
  t.throws(() => kafkaSpec('brokers=a,sasl=plain,user=u,password=hunter2'), {
    message: /^(?!.*hunter2).*password-file=PATH/,
  })
})

t.test('nothing that prints a config prints the password', async t => {
  const env = { QUIPU_KAFKA: 'brokers=a,sasl=plain,user=u', QUIPU_KAFKA_PASSWORD: 'hunter2' }
  const config = readConfig({}, env)
  t.equal(config.kafkaPassword(), 'hunter2')
  t.notMatch(JSON.stringify(config), 'hunter2')
  t.equal(shown('kafka', config.kafka), 'brokers=a:9092,topic=quipu.journal,sasl=plain,user=u')
  t.equal(shown('kafka', readConfig({ kafka: 'none' }, env).kafka), 'none')
})
