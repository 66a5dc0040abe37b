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
     "variant": "",
     "digest": "d",
     "sizeBytes": 1000000000,
     "id": "big:latest@gpu-1",
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
     "variant": "",
     "digest": "d",
     "sizeBytes": 1000000000,
     "id": "big:latest@gpu-1",
     "model": "big:latest",
     "node": "gpu-1",
     "estimateMs": 3500
    }
   }
  },
  "inMemory": {
   "gpu-1": {}
  }
 },
 "requests": {
  "open": {
   "cold": {
    "id": "cold",
    "path": "/api/chat",
    "model": "big:latest",
    "variant": "",
    "labels": {},
    "client": "c",
    "job": false,
    "class": "interactive",
    "priority": 5,
    "admittedAt": 1767225604920,
    "expiresAt": 1767225624920,
    "deadlineAt": null,
    "seq": 49,
    "tokens": {
     "promptTokens": 1,
     "outputTokens": 200
    },
    "cost": 4001,
    "state": "running",
    "node": "gpu-1",
    "assignedAt": 1767225614920,
    "tried": [
     "gpu-1"
    ],
    "moved": false
   }
  },
  "queue": {
   "lines": {},
   "ofModel": {},
   "accounts": {
    "c": {
     "served": 28816,
     "waiting": 0,
     "running": 1
    }
   },
   "count": 0,
   "floor": 24815
  },
  "running": {
   "big:latest": {
    "gpu-1": 1
   }
  },
  "loads": {
   "gpu-1": 1
  }
 },
 "breakers": {
  "nodes": {
   "gpu-1": {
    "state": "closed",
    "failures": 1,
    "round": 0,
    "until": 0,
    "reason": "broken",
    "by": "",
    "outcomes": [
     {
      "id": "lost",
      "at": 1767225604920,
      "ok": false
     }
    ],
    "backAt": 1767225634920
   }
  },
  "failing": [
   "gpu-1"
  ],
  "ejected": [],
  "suspects": {
   "cold": [
    "gpu-1"
   ]
  },
  "riders": []
 },
 "estimates": {
  "replicas": {
   "big:latest@gpu-1": {
    "model": "big:latest",
    "node": "gpu-1",
    "sizeBytes": 1000000000,
    "decodeAmongTps": [],
    "kin": {
     "decodeAmongTps": []
    }
   }
  },
  "kin": {
   "big:latest": {
    "decodeAmongTps": []
   }
  },
  "speed": {},
  "simulated": [],
  "tokenBytes": {
   "tiny:latest": 0.1111111111111111
  },
  "promptTokens": {
   "tiny:latest": 9
  },
  "outputs": {},
  "ownOutputs": {},
  "waitErrors": {
   "counts": {},
   "step": 1.005012520859401,
   "weight": 1,
   "sum": 0,
   "size": 0
  },
  "admitted": {
   "cold": {
    "model": "big:latest",
    "client": "c",
    "bodyBytes": 1,
    "at": 1767225604920
   }
  },
  "running": {
   "cold": {
    "replica": "big:latest@gpu-1",
    "client": "c",
    "bodyBytes": 1,
    "together": 1,
    "assignedAt": 1767225614920,
    "begunAt": 1767225614920
   }
  },
  "together": {
   "big:latest@gpu-1": 1
  }
 },
 "catalog": {}
}
`

exports[`test/golden/golden.test.ts > TAP > the journal of 0.2.0 replays, to the states it had > views 1`] = `
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
     "variant": "",
     "digest": "d",
     "sizeBytes": 1000000000,
     "id": "big:latest@gpu-1",
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
     "variant": "",
     "digest": "d",
     "sizeBytes": 1000000000,
     "id": "big:latest@gpu-1",
     "model": "big:latest",
     "node": "gpu-1",
     "estimateMs": 3500
    }
   }
  },
  "inMemory": {
   "gpu-1": {}
  }
 },
 "requests": {
  "open": {
   "cold": {
    "id": "cold",
    "path": "/api/chat",
    "model": "big:latest",
    "variant": "",
    "labels": {},
    "client": "c",
    "job": false,
    "class": "interactive",
    "priority": 5,
    "admittedAt": 1767225604920,
    "expiresAt": 1767225624920,
    "deadlineAt": null,
    "seq": 49,
    "tokens": {
     "promptTokens": 1,
     "outputTokens": 200
    },
    "cost": 4001,
    "state": "running",
    "node": "gpu-1",
    "assignedAt": 1767225614920,
    "tried": [
     "gpu-1"
    ],
    "moved": false
   }
  },
  "queue": {
   "lines": {},
   "ofModel": {},
   "accounts": {
    "c": {
     "served": 28816,
     "waiting": 0,
     "running": 1
    },
    "night": {
     "served": 28835,
     "waiting": 0,
     "running": 0
    }
   },
   "count": 0,
   "floor": 24815
  },
  "running": {
   "big:latest": {
    "gpu-1": 1
   }
  },
  "loads": {
   "gpu-1": 1
  }
 },
 "breakers": {
  "nodes": {
   "gpu-1": {
    "state": "closed",
    "failures": 1,
    "round": 0,
    "until": 0,
    "reason": "broken",
    "by": "",
    "outcomes": [
     {
      "id": "lost",
      "at": 1767225604920,
      "ok": false
     }
    ],
    "backAt": 1767225634920
   }
  },
  "failing": [
   "gpu-1"
  ],
  "ejected": [],
  "suspects": {
   "cold": [
    "gpu-1"
   ]
  },
  "riders": []
 },
 "estimates": {
  "replicas": {
   "big:latest@gpu-1": {
    "model": "big:latest",
    "node": "gpu-1",
    "sizeBytes": 1000000000,
    "decodeAmongTps": [],
    "kin": {
     "decodeAmongTps": []
    }
   }
  },
  "kin": {
   "big:latest": {
    "decodeAmongTps": []
   }
  },
  "speed": {},
  "simulated": [],
  "tokenBytes": {
   "tiny:latest": 0.1111111111111111
  },
  "promptTokens": {
   "tiny:latest": 9
  },
  "outputs": {},
  "ownOutputs": {},
  "waitErrors": {
   "counts": {},
   "step": 1.005012520859401,
   "weight": 1,
   "sum": 0,
   "size": 0
  },
  "admitted": {
   "cold": {
    "model": "big:latest",
    "client": "c",
    "bodyBytes": 1,
    "at": 1767225604920
   }
  },
  "running": {
   "cold": {
    "replica": "big:latest@gpu-1",
    "client": "c",
    "bodyBytes": 1,
    "together": 1,
    "assignedAt": 1767225614920,
    "begunAt": 1767225614920
   }
  },
  "together": {
   "big:latest@gpu-1": 1
  }
 },
 "catalog": {}
}
`

exports[`test/golden/golden.test.ts > TAP > the journal of 0.3.0 replays, to the states it had > views 1`] = `
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
     "variant": "",
     "digest": "d",
     "sizeBytes": 1000000000,
     "id": "big:latest@gpu-1",
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
     "variant": "",
     "digest": "d",
     "sizeBytes": 1000000000,
     "id": "big:latest@gpu-1",
     "model": "big:latest",
     "node": "gpu-1",
     "estimateMs": 3500
    }
   }
  },
  "inMemory": {
   "gpu-1": {}
  }
 },
 "requests": {
  "open": {
   "cold": {
    "id": "cold",
    "path": "/api/chat",
    "model": "big:latest",
    "variant": "",
    "labels": {},
    "client": "c",
    "job": false,
    "class": "interactive",
    "priority": 5,
    "admittedAt": 1767225604920,
    "expiresAt": 1767225624920,
    "deadlineAt": null,
    "seq": 49,
    "tokens": {
     "promptTokens": 1,
     "outputTokens": 200
    },
    "cost": 4001,
    "state": "running",
    "node": "gpu-1",
    "assignedAt": 1767225614920,
    "tried": [
     "gpu-1"
    ],
    "moved": false
   }
  },
  "queue": {
   "lines": {},
   "ofModel": {},
   "accounts": {
    "c": {
     "served": 28816,
     "waiting": 0,
     "running": 1
    },
    "night": {
     "served": 28835,
     "waiting": 0,
     "running": 0
    }
   },
   "count": 0,
   "floor": 24815
  },
  "running": {
   "big:latest": {
    "gpu-1": 1
   }
  },
  "loads": {
   "gpu-1": 1
  }
 },
 "breakers": {
  "nodes": {
   "gpu-1": {
    "state": "closed",
    "failures": 1,
    "round": 0,
    "until": 0,
    "reason": "broken",
    "by": "",
    "outcomes": [
     {
      "id": "lost",
      "at": 1767225604920,
      "ok": false
     }
    ],
    "backAt": 1767225634920
   }
  },
  "failing": [
   "gpu-1"
  ],
  "ejected": [],
  "suspects": {
   "cold": [
    "gpu-1"
   ]
  },
  "riders": []
 },
 "estimates": {
  "replicas": {
   "big:latest@gpu-1": {
    "model": "big:latest",
    "node": "gpu-1",
    "sizeBytes": 1000000000,
    "decodeAmongTps": [],
    "kin": {
     "decodeAmongTps": []
    }
   }
  },
  "kin": {
   "big:latest": {
    "decodeAmongTps": []
   }
  },
  "speed": {},
  "simulated": [],
  "tokenBytes": {
   "tiny:latest": 0.1111111111111111
  },
  "promptTokens": {
   "tiny:latest": 9
  },
  "outputs": {},
  "ownOutputs": {},
  "waitErrors": {
   "counts": {},
   "step": 1.005012520859401,
   "weight": 1,
   "sum": 0,
   "size": 0
  },
  "admitted": {
   "cold": {
    "model": "big:latest",
    "client": "c",
    "bodyBytes": 1,
    "at": 1767225604920
   }
  },
  "running": {
   "cold": {
    "replica": "big:latest@gpu-1",
    "client": "c",
    "bodyBytes": 1,
    "together": 1,
    "assignedAt": 1767225614920,
    "begunAt": 1767225614920
   }
  },
  "together": {
   "big:latest@gpu-1": 1
  }
 },
 "catalog": {}
}
`

exports[`test/golden/golden.test.ts > TAP > the journal of 0.4.0 replays, to the states it had > views 1`] = `
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
     "variant": "",
     "digest": "d",
     "sizeBytes": 1000000000,
     "id": "big:latest@gpu-1",
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
     "variant": "",
     "digest": "d",
     "sizeBytes": 1000000000,
     "id": "big:latest@gpu-1",
     "model": "big:latest",
     "node": "gpu-1",
     "estimateMs": 3500
    }
   }
  },
  "inMemory": {
   "gpu-1": {}
  }
 },
 "requests": {
  "open": {
   "cold": {
    "id": "cold",
    "path": "/api/chat",
    "model": "big:latest",
    "variant": "",
    "labels": {},
    "client": "c",
    "job": false,
    "class": "interactive",
    "priority": 5,
    "admittedAt": 1767225604920,
    "expiresAt": 1767225624920,
    "deadlineAt": null,
    "seq": 52,
    "tokens": {
     "promptTokens": 1,
     "outputTokens": 200
    },
    "cost": 4001,
    "state": "running",
    "node": "gpu-1",
    "assignedAt": 1767225614920,
    "tried": [
     "gpu-1"
    ],
    "moved": false
   }
  },
  "queue": {
   "lines": {},
   "ofModel": {},
   "accounts": {
    "c": {
     "served": 28816,
     "waiting": 0,
     "running": 1
    },
    "night": {
     "served": 28835,
     "waiting": 0,
     "running": 0
    }
   },
   "count": 0,
   "floor": 24815
  },
  "running": {
   "big:latest": {
    "gpu-1": 1
   }
  },
  "loads": {
   "gpu-1": 1
  }
 },
 "breakers": {
  "nodes": {
   "gpu-1": {
    "state": "closed",
    "failures": 1,
    "round": 0,
    "until": 0,
    "reason": "broken",
    "by": "",
    "outcomes": [
     {
      "id": "lost",
      "at": 1767225604920,
      "ok": false
     }
    ],
    "backAt": 1767225634920
   }
  },
  "failing": [
   "gpu-1"
  ],
  "ejected": [],
  "suspects": {
   "cold": [
    "gpu-1"
   ]
  },
  "riders": []
 },
 "estimates": {
  "replicas": {
   "big:latest@gpu-1": {
    "model": "big:latest",
    "node": "gpu-1",
    "sizeBytes": 1000000000,
    "decodeAmongTps": [],
    "kin": {
     "decodeAmongTps": []
    }
   }
  },
  "kin": {
   "big:latest": {
    "decodeAmongTps": []
   }
  },
  "speed": {},
  "simulated": [],
  "tokenBytes": {
   "tiny:latest": 0.1111111111111111
  },
  "promptTokens": {
   "tiny:latest": 9
  },
  "outputs": {},
  "ownOutputs": {},
  "waitErrors": {
   "counts": {},
   "step": 1.005012520859401,
   "weight": 1,
   "sum": 0,
   "size": 0
  },
  "admitted": {
   "cold": {
    "model": "big:latest",
    "client": "c",
    "bodyBytes": 1,
    "at": 1767225604920
   }
  },
  "running": {
   "cold": {
    "replica": "big:latest@gpu-1",
    "client": "c",
    "bodyBytes": 1,
    "together": 1,
    "assignedAt": 1767225614920,
    "begunAt": 1767225614920
   }
  },
  "together": {
   "big:latest@gpu-1": 1
  }
 },
 "catalog": {}
}
`
