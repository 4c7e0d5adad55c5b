// Private endpoints of a storage account or of the app, one for each of its services, and their names in private zones.

param name string
param targetId string
param services service[]
param subnetId string
param location string
param tags { *: string }

@description('Resource ID of the resource group that has the private DNS zones. Empty: this one.')
param existingDnsZonesGroupId string

@export()
type service = 'blob' | 'queue' | 'table' | 'sites'

@description('The private DNS zone of a service\'s names.')
@export()
func zoneOf(service service) string =>
  service == 'sites' ? 'privatelink.azurewebsites.net' : 'privatelink.${service}.${environment().suffixes.storage}'

var zonesGroup = split(empty(existingDnsZonesGroupId) ? resourceGroup().id : existingDnsZonesGroupId, '/')

var zoneNames = map(services, service => zoneOf(service))

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' existing = [
  for zoneName in zoneNames: {
    scope: resourceGroup(zonesGroup[2], zonesGroup[4])
    name: zoneName
  }
]

// One at a time: an account refuses changes that meet.
@batchSize(1)
resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for service in services: {
    name: '${name}-${service}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: subnetId
      }
      privateLinkServiceConnections: [
        {
          name: service
          properties: {
            privateLinkServiceId: targetId
            groupIds: [
              service
            ]
          }
        }
      ]
    }
  }
]

@batchSize(1)
resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (service, index) in services: {
    parent: endpoint[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: service
          properties: {
            privateDnsZoneId: zone[index].id
          }
        }
      ]
    }
  }
]
