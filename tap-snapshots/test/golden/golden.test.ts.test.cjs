/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/golden/golden.test.ts > TAP > the journal of 0.1.0 replays, to the states it had > views 1`] = `
{
 "fleet": {
  "gpu-1": {
   "url": "http://gpu-1",
   "slots": 2,
   "residentMax": 1,
   "labels": {},
   "origin": "api",
   "name": "gpu-1",
   "version": "2",
   "reach": "up",
   "duty": "active",
   "since": 1767225634920
  }
 },
 "residency": {
  "byNode": {
   "gpu-1": {
    "big:latest": {
     "state": "present",
     "since": 1767225614920,
     "loadFailures": 1,
     "digest": "d",
     "sizeBytes": 1000000000,
     "model": "big:latest",
     "node": "gpu-1",
     "estimateMs": 3500
    }
   }
  },
  "byModel": {
   "big:latest": {
    "gpu-1": {
     "state": "present",
     "since": 1767225614920,
     "loadFailures": 1,
     "digest": "d",
     "sizeBytes": 1000000000,
     "model": "big:latest",
     "node": "gpu-1",
     "estimateMs": 3500
    }
   }
  }
 },
 "requests": {
  "open": {
   "cold": {
    "id": "cold",
    "path": "/api/chat",
    "model": "big:latest",
    "client": "c",
    "priority": 5,
    "expiresAt": 1767225624920,
    "seq": 49,
    "admittedAt": 1767225604920,
    "state": "running",
    "node": "gpu-1",
    "assignedAt": 1767225614920,
    "tried": [
     "gpu-1"
    ]
   }
  },
  "waiting": {},
  "waitingCount": 0,
  "running": {
   "gpu-1": {
    "big:latest": 1
   },
   "gpu-2": {}
  }
 },
 "breakers": {
  "nodes": {
   "gpu-1": {
    "state": "closed",
    "failures": 1,
    "round": 0,
    "until": 0,
    "reason": "broken"
   }
  },
  "suspects": {
   "cold": [
    "gpu-1"
   ]
  }
 },
 "estimates": {
  "loadMs": {},
  "runMs": {},
  "sizeBytes": {
   "big:latest@gpu-1": 1000000000
  }
 },
 "catalog": {}
}
`
