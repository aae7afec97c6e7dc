"""The descriptions that the servers of the suite publish."""

from __future__ import annotations

OPENAPI = """
openapi: 3.1.0
info: {title: Pets, version: 1.0.0}
servers: [{url: 'http://stub.example/{base}', variables: {base: {default: v1}}}]
paths:
  /pets/{petId}:
    get:
      operationId: getPet
      parameters:
        - {name: petId, in: path, required: true, schema: {type: integer}}
        - {name: fields, in: query, schema: {type: array}}
        - {name: x-test, in: header, schema: {type: string}}
        - {name: lang, in: cookie, schema: {type: string}}
  /pets:
    post:
      operationId: addPet
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
  /moved: {get: {operationId: moved}}
  /gone: {get: {operationId: gone, servers: [{url: 'http://stub.example/status'}]}}
  '/404': {get: {operationId: missing, servers: [{url: 'http://stub.example/status'}]}}
  /private: {get: {operationId: private, servers: [{url: 'http://stub.example'}]}}
"""
SWAGGER = """
swagger: '2.0'
info: {title: Pets, version: 1.0.0}
host: stub.example
basePath: /v1
schemes: [http]
paths:
  /pets/{petId}:
    get:
      operationId: getPet
      parameters: [{name: petId, in: path, required: true, type: integer}]
  /upload:
    post:
      operationId: upload
      consumes: [application/x-www-form-urlencoded]
      parameters: [{name: note, in: formData, type: string}]
"""
ASYNCAPI_3 = """
asyncapi: 3.0.0
info: {title: Shop, version: 1.0.0}
servers:
  main:
    host: stub.example
    pathname: /{base}
    protocol: http
    variables: {base: {default: shop}}
channels:
  orders:
    address: orders/{id}
    parameters: {id: {location: $message.payload#/id}}
    messages: {order: {payload: {type: object, required: [id]}}}
  news:
    address: news
    messages: {item: {payload: {type: object}}}
operations:
  placeOrder: {action: receive, channel: {$ref: '#/channels/orders'}}
  readNews: {action: send, channel: {$ref: '#/channels/news'}}
"""
ASYNCAPI_2 = """
asyncapi: 2.6.0
info: {title: Shop, version: 1.0.0}
servers: {main: {url: 'http://stub.example', protocol: http}}
channels:
  /news: {subscribe: {message: {payload: {type: object}}}}
  /news/in: {publish: {message: {payload: {type: object}}}}
"""
BROKER_DOCUMENT = """
asyncapi: 3.0.0
info: {title: Ticks, version: 1.0.0}
servers:
  nats: {host: '127.0.0.1:NATS', protocol: nats}
  mqtt: {host: '127.0.0.1:MQTT', protocol: mqtt}
  ws: {host: '127.0.0.1:WS', protocol: ws}
channels:
  ticks: {address: ticks, messages: {tick: {payload: {type: object}}}}
  out: {address: out, messages: {any: {payload: {type: object}}}}
operations:
  watch: {action: send, channel: {$ref: '#/channels/ticks'}}
  tell: {action: receive, channel: {$ref: '#/channels/out'}}
"""
PROTOCOL = """
asyncapi: 3.0.0
info: {title: Other, version: 1.0.0}
servers: {main: {host: 127.0.0.1:1, protocol: PROTOCOL}}
channels: {out: {address: out, messages: {any: {payload: {type: object}}}}}
operations: {tell: {action: receive, channel: {$ref: '#/channels/out'}}}
"""
OTHER_PROTOCOLS = (
    "amqp amqp1 anypointmq googlepubsub ibmmq jms kafka mercure mqtt5 pulsar redis sns solace"
    " sqs stomp"
).split()
AGENT_CARD = """
{"name": "Agent", "url": "http://stub.example/agent", "preferredTransport": "JSONRPC",
 "protocolVersion": "0.3.0", "version": "1.0.0", "capabilities": {}, "skills": []}
"""
PROTO = """
syntax = "proto3";
package greet;
message Person { string name = 1; int32 age = 2; }
message Greeting { string text = 1; }
service Greeter {
  rpc Hello(Person) returns (Greeting);
  rpc Many(Person) returns (stream Greeting);
  rpc Collect(stream Person) returns (Greeting);
  rpc Chat(stream Person) returns (stream Greeting);
}
"""
