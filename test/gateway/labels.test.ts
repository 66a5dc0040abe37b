import t from 'tap'
import { labelsOf } from '../../src/gateway/labels.ts'

t.test('labels are names and values, with commas between', async t => {
  for (const [text, labels] of [
    ['gpu=4090', { gpu: '4090' }],
    ['gpu=4090,room=attic', { gpu: '4090', room: 'attic' }],
    [' gpu=4090 ,  room=the attic ', { gpu: '4090', room: 'the attic' }],
    ['a.b/c-d_e=x=y', { 'a.b/c-d_e': 'x=y' }],
    ['constructor=x', { constructor: 'x' }],
    ['a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8', { a: '1', b: '2', c: '3', d: '4', e: '5', f: '6', g: '7', h: '8' }],
  ] as const)
    t.same(labelsOf(text), labels, text)
})

t.test('anything else is refused, with a sentence', async t => {
  for (const [text, said] of [
    ['', /"" is not NAME=VALUE/],
    ['gpu', /"gpu" is not NAME=VALUE/],
    ['gpu=', /"gpu=" is not NAME=VALUE/],
    ['=4090', /is not NAME=VALUE/],
    ['gpu=4090,', /"" is not NAME=VALUE/],
    ['__proto__=x', /is not NAME=VALUE/],
    ['a b=x', /is not NAME=VALUE/],
    ['gpu=\u00e9', /is not NAME=VALUE/],
    [`gpu=${'x'.repeat(257)}`, /is not NAME=VALUE/],
    ['gpu=4090,gpu=3090', /gpu stands there twice/],
    ['a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9', /9 labels are too many; 8 at most/],
  ] as const)
    t.throws(() => labelsOf(text), { message: said }, text.slice(0, 40))
})
