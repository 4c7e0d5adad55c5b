// Where storage is reached without the Internet: a virtual network, private DNS zones, and the endpoints of both accounts.
// Network and zones may exist already.

param name string
param location string
param tags { *: string }
param hostAccountName string
param archiveAccountName string
param addressPrefix string
param internetIsNeeded bool
param existingAppSubnetId string
param existingEndpointSubnetId string
param existingDnsZonesGroupId string

@description('Make the zone that the app\'s own endpoint needs, too.')
param inboundPrivateEndpoint bool

var makesNetwork = empty(existingAppSubnetId)
var networkId = makesNetwork
  ? resourceId('Microsoft.Network/virtualNetworks', name)
  : split(existingEndpointSubnetId, '/subnets/')[0]
var appSubnet = makesNetwork ? '${networkId}/subnets/app' : existingAppSubnetId
var endpointSubnet = makesNetwork ? '${networkId}/subnets/endpoints' : existingEndpointSubnetId

module network 'network.bicep' = if (makesNetwork) {
  name: 'network'
  params: {
    name: name
    location: location
    tags: tags
    addressPrefix: addressPrefix
    internetIsNeeded: internetIsNeeded
  }
}

module zones 'dns-zones.bicep' = if (empty(existingDnsZonesGroupId)) {
  name: 'dns-zones'
  params: {
    name: name
    virtualNetworkId: networkId
    services: concat(
      [
        'blob'
        'queue'
        'table'
      ],
      inboundPrivateEndpoint ? ['sites'] : []
    )
    tags: tags
  }
  dependsOn: [
    network
  ]
}

module hostEndpoints 'private-endpoints.bicep' = {
  name: 'host-endpoints'
  params: {
    name: hostAccountName
    targetId: resourceId('Microsoft.Storage/storageAccounts', hostAccountName)
    services: [
      'blob'
      'queue'
      'table'
    ]
    subnetId: endpointSubnet
    existingDnsZonesGroupId: existingDnsZonesGroupId
    location: location
    tags: tags
  }
  dependsOn: [
    network
    zones
  ]
}

// After the host's: the subnet refuses changes that meet.
module archiveEndpoints 'private-endpoints.bicep' = {
  name: 'archive-endpoints'
  params: {
    name: archiveAccountName
    targetId: resourceId('Microsoft.Storage/storageAccounts', archiveAccountName)
    services: [
      'blob'
      'queue'
      'table'
    ]
    subnetId: endpointSubnet
    existingDnsZonesGroupId: existingDnsZonesGroupId
    location: location
    tags: tags
  }
  dependsOn: [
    hostEndpoints
  ]
}

output appSubnetId string = appSubnet
output endpointSubnetId string = endpointSubnet
