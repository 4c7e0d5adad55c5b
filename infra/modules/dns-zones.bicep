// The private DNS zones that resolve the names of private endpoints, for one virtual network.

import { service, zoneOf } from 'private-endpoints.bicep'

param name string
param virtualNetworkId string
param services service[]
param tags { *: string }

var zoneNames = map(services, service => zoneOf(service))

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zoneName in zoneNames: {
    name: zoneName
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (service, index) in services: {
    parent: zone[index]
    name: '${name}-${service}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: virtualNetworkId
      }
    }
  }
]
